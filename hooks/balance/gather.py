"""What a round of balancing goes by: measured use, and what forbids moves."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timezone

from hooks.balance import onedrs
from hooks.balance.memory import remembered
from hooks.balance.model import Limits, Situation, Use
from onext import bounds
from onext.hosts.inventory.cluster import held
from onext.hosts.inventory.current import current
from onext.hosts.model import Cluster, Host
from onext.hosts.placement.problem import Size
from onext.part import Context
from onext.settings.balance import Balance
from onext.xml import Element

_KIB_PER_MIB = 1024
_FORECAST = "_FORECAST"  # of OpenNebula 7.0 on: what its probe expects in the next minutes


def limits(settings: Balance) -> Limits:
    """Return the limits that the settings state."""
    return Limits(settings.approx, settings.rounds, settings.least_gain, settings.moves_per_hour)


def situation(context: Context, number: int) -> Situation:
    """Return one cluster as it is; raise KeyError, ClusterUnreadable or an OnedError."""
    cluster = current(context, number)
    use = Use(
        dict(
            used(context.oned.document("hostpool.monitoring", 0), "CAPACITY/USED_CPU", "CAPACITY/USED_MEMORY")
        ),
        dict(used(context.oned.document("vmpool.monitoring", -2, 0), "CPU", "MEMORY")),
    )
    reason = forbidden(context, cluster, context.settings.balance)
    past = remembered(context, number)
    return Situation(cluster, use, past, context.now(), reason, onedrs.read(context, number))


def used(monitoring: Element, cpu: str, memory: str) -> Iterable[tuple[int, Size]]:
    """Yield what each object of a MONITORING_DATA uses: the last record, or what is forecast, if more."""
    for record in monitoring.iterfind("MONITORING"):
        number = bounds.whole(record.findtext("ID"), 0, 2**31)
        found = [_highest(record, path) for path in (cpu, memory)]
        if number is not None and found[0] is not None and found[1] is not None:
            yield number, Size(round(found[0]), round(found[1] / _KIB_PER_MIB))


def _highest(record: Element, path: str) -> float | None:
    now = bounds.number(record.findtext(path), 0, 1e15)
    soon = bounds.number(record.findtext(path + _FORECAST), 0, 1e15)
    return now if now is None or soon is None else max(now, soon)


def forbidden(context: Context, cluster: Cluster, settings: Balance) -> str:
    """Return why nothing may move in a cluster now; empty where VMs may."""
    cloud = context.cloud()
    if reason := held(cloud.clusters[cluster.id], cloud.datastores.values()):
        return reason
    busy = next((host for host in cluster.hosts if not host.claim_free), None)
    if busy is not None:
        return _busy(busy)
    hour = datetime.fromtimestamp(context.now(), timezone.utc).astimezone().hour
    return f"hour {hour} is one of quiet_hours" if hour in settings.quiet_hours else ""


def _busy(host: Host) -> str:
    assert host.claim
    return f"{host.claim.holder} works on host {host.id} ({host.claim.phase.value})"
