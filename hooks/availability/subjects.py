"""Who can be asked about a host, and what this process remembers of it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence

from hooks.availability import cluster_view, heartbeat
from hooks.availability.collect_evidence import Subject
from hooks.availability.evidence import Evidence
from hooks.availability.memory import Memory
from hooks.availability.round_records import Records
from onext import bounds
from onext.cloud.model import Host
from onext.cloud.snapshot import Cloud
from onext.oned.objects import HostState
from onext.part import Context
from onext.payload import valid_host_name

_SKEW = 5.0  # seconds by which clocks of one zone may differ
_OPEN = (HostState.MONITORED, HostState.MONITORING_MONITORED)


def subject(context: Context, memory: Memory, cloud: Cloud, kept: Records, number: int) -> Subject:
    """Return who can be asked about a host: two peers of its cluster that serve."""
    host = cloud.hosts[number]
    peers = [
        other.name
        for other in cloud.hosts.values()
        if other.cluster_id == host.cluster_id and other.id != number and _serves(other, kept)
    ]
    order, incident = kept.confirmed.get(number), kept.incidents.get(number)
    valid = order is not None and incident is not None and abs(order.incident - incident.first) < 1.0
    address = memory.ports.where(host.name, context.settings.geolocation.ssh_config)
    ages = _monitored(context, host)
    last = _last_monitored(ages)
    silent = min(memory.heard.answered(number), _possibly_heard(ages))
    return Subject(
        number, host.name, last if _is_monitored(host) else None, peers, order if valid else None, address,
        memory.leases.status(context, number, silent), _heartbeat(context, memory, cloud, host),
    )  # fmt: skip


def _heartbeat(
    context: Context, memory: Memory, cloud: Cloud, host: Host
) -> Callable[[str], Evidence] | None:
    shared = cluster_view.shared_datastores(cloud)
    folders = heartbeat.datastores(cloud, host.cluster_id, shared)
    if not folders:
        return None

    def ask(peer: str) -> Evidence:
        config = context.settings.geolocation.ssh_config
        memory.heartbeats.note(host.id, heartbeat.read(peer, host.id, folders, config))
        return memory.heartbeats.finding(host.id)

    return ask


def rebooted(
    memory: Memory, cloud: Cloud, kept: Records, cluster: int, claimed: Collection[int]
) -> frozenset[int]:
    """Return the hosts whose boot id changed although VMs are bound to them, and which nobody works on."""
    hosts = [host for host in cloud.hosts.values() if host.cluster_id == cluster]
    reported = {host.id: boot for host in hosts if (boot := cluster_view.boot_id(host))}
    idle = {host.id for host in hosts if not cloud.vms_by_host.get(host.id)}
    accepted = {*kept.incidents, *kept.maintenance, *claimed, *idle}
    return memory.boots[cluster].rebooted(reported, accepted)


def _serves(host: Host, kept: Records) -> bool:
    return host.state in _OPEN and host.id not in kept.incidents and valid_host_name(host.name)


def _is_monitored(host: Host) -> bool:
    return host.state not in (HostState.OFFLINE, HostState.ERROR, HostState.MONITORING_ERROR)


def _monitored(context: Context, host: Host) -> list[float]:
    """Return the ages of a host's monitoring records; negative where the clock was set back since."""
    records_ = context.oned.document("host.monitoring", host.id).iterfind("MONITORING")
    times = [bounds.number(one.findtext("TIMESTAMP"), 0, 1e12) for one in records_]
    now = context.now()
    return [now - when for when in times if when is not None]


def _last_monitored(ages: Sequence[float]) -> float | None:
    """Return the seconds since the last monitoring, None where there is none.

    A time in the future is from before this machine's clock was set back, and shows no life.
    """
    return min((max(0.0, age) for age in ages if age >= -_SKEW), default=None)


def _possibly_heard(ages: Sequence[float]) -> float:
    """Return the seconds since the latest moment at which a host may have been heard of, for its lease."""
    return min((max(0.0, age) for age in ages), default=float("inf"))
