"""The documents that a round rests on: incidents, what people decided, and which part holds which host."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from hooks.availability.model import Incident
from hooks.availability.records import CONFIRMATION, INCIDENT, PAUSE
from onext.cloud.model import Host
from onext.cloud.snapshot import Cloud
from onext.hosts.claims import HOST_RECORDS, HostRecord, effective
from onext.hosts.model import POWER, Claim
from onext.hosts.model import Phase as ClaimPhase
from onext.hosts.orders import MAINTENANCE, Order
from onext.oned.documents import Documents, Stored
from onext.oned.objects import HostState
from onext.part import Context


@dataclass(frozen=True)
class Records:
    """The documents of one round; an invalid record is not an incident, and its host is not touched."""

    incidents: Mapping[int, Incident]
    confirmed: Mapping[int, Order]
    paused: Collection[int]
    maintenance: Collection[int]
    invalid: Mapping[int, str]
    stored: Mapping[int, Stored[Incident]] = field(default_factory=dict)
    hosts: Mapping[int, Stored[HostRecord]] = field(default_factory=dict)

    def claim(self, host: Host) -> Claim | None:
        """Return the claim that is surely on this host: one that only a template holds counts for nothing."""
        found, _ = effective(self.hosts.get(host.id), None, host.name)
        gone = found is not None and not found.verified and found.phase is not ClaimPhase.QUARANTINED
        serves = found is not None and found.phase is ClaimPhase.LEFT  # a person runs it: it may fail
        return None if gone or serves else found


def records(context: Context) -> Records:
    """Read every document of this part; raise an OnedError."""
    stored = Documents(context.oned, INCIDENT, context.now).all()
    valid = {n: one.value for n, one in stored.items() if one.value is not None and one.value.host == n}
    confirmed = Documents(context.oned, CONFIRMATION, context.now).all()
    return Records(
        valid,
        {number: one.value for number, one in confirmed.items() if one.value is not None},
        frozenset(Documents(context.oned, PAUSE, context.now).all()),  # also where it is invalid
        frozenset(Documents(context.oned, MAINTENANCE, context.now).all()),
        {
            n: one.problem or f"the record of host {n} names another"
            for n, one in stored.items()
            if n not in valid
        },
        stored,
        Documents(context.oned, HOST_RECORDS, context.now).all(),
    )


def orphans(context: Context, cloud: Cloud, kept: Records) -> Mapping[int, str]:
    """Return the open incidents that no configured cluster decides, with the reason."""
    enabled = context.settings.availability.clusters
    found = {}
    for number, incident in kept.incidents.items():
        host = cloud.hosts.get(number)
        cluster = incident.cluster if host is None else host.cluster_id
        if cluster not in enabled:
            found[number] = f"host {number} ({incident.name}): its cluster {cluster} is not in `clusters:`"
        elif host is not None and host.problem:
            found[number] = f"host {number} ({incident.name}) cannot be read: {host.problem}"
    return found


def spares(cloud: Cloud, kept: Records, number: int) -> tuple[int, ...]:
    """Return the hosts that power management has asleep in a cluster."""
    return tuple(
        host.id
        for host in cloud.hosts.values()
        if host.cluster_id == number and host.state == HostState.OFFLINE and _sleeps(kept.claim(host))
    )


def _sleeps(claim: Claim | None) -> bool:
    return claim is not None and claim.holder == POWER and claim.phase is ClaimPhase.OFF
