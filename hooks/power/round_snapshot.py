"""What a round of power goes by: the pools that all parts share, with what may have changed read again."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from onext.cloud.snapshot import clock
from onext.hosts import watt_model
from onext.hosts.bmc.config import BmcConfig
from onext.hosts.claims import HOST_RECORDS
from onext.hosts.inventory.snapshot import Snapshot, gather, read_now
from onext.hosts.model import GOING, Phase
from onext.oned.documents import Documents
from onext.part import Context

UNDER_WAY = (*GOING, Phase.WAKING, Phase.RETURNING)


def snapshot(context: Context, entries: BmcConfig, moving: Iterable[int] = ()) -> Snapshot:
    """Read what the shared pools do not hold, and in them the hosts under way and the VMs that move.

    Their states change without an event, or before it arrives; a claim beside an older state of its host
    would look like the doing of a stranger. Raises an OnedError.
    """
    records = Documents(context.oned, HOST_RECORDS, context.now).all()
    for number, stored in records.items():
        claim = stored.value.claim if stored.value else None
        if claim is not None and claim.phase in UNDER_WAY:
            context.reader.changed("host", number)
    for vm in moving:
        context.reader.changed("vm", vm)
    cloud = context.cloud()
    seen = gather(context.oned, cloud, records, entries, context.settings.power.bmc_timeout)
    return replace(seen, metered=watt_model.load(context.paths.state), taken=cloud.began)


def fresh(context: Context, seen: Snapshot) -> Snapshot:
    """Return a snapshot that is young enough to switch a host off by: pools read within a quarter lease."""
    most = context.settings.power.lease / 4
    if seen.taken is None or clock() - seen.taken <= most:
        return seen
    cloud = read_now(context.cloud(most))
    return replace(seen, cloud=cloud, taken=cloud.began)


def touched(context: Context, hosts: Iterable[int], vms: Iterable[int]) -> None:
    """Have the hosts and VMs that a round has changed read again, before their events arrive."""
    for host in hosts:
        context.reader.changed("host", host)
    for vm in vms:
        context.reader.changed("vm", vm)
