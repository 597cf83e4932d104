"""What the gateway shows of power: each host's plan with its reason, and each cluster's balance and day."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from hooks.power import ledger
from hooks.power.decide import Decision, PowerOff
from hooks.power.policy import Policy
from onext.hosts.energy import JOULES_PER_KWH
from onext.hosts.model import Cluster, Kind, Phase

DAY = 86_400.0
_MOST_SAMPLES = 150  # of a day: the ledger has one every ten minutes
Seen = tuple[Cluster, Policy, Decision, float]


def document(seen: Iterable[Seen], state: Path, now: float) -> Mapping[str, object]:
    """Return the document; energy is kWh, times are Unix times, watts are watts."""
    rounds = list(seen)
    return {
        "at": now,
        "hosts": [row for cluster, _, decision, _ in rounds for row in _hosts(cluster, decision, now)],
        "clusters": [_cluster(*one[:3], state, now) for one in rounds],
        "watts": {str(host): round(watts, 1) for cluster, *_ in rounds for host, watts in _watts(cluster)},
    }


def _watts(cluster: Cluster) -> Iterator[tuple[int, float]]:
    """Yield the watts of each host by its curve: off, or at the load that its VMs are sized for."""
    vms = cluster.by_host()
    for host in cluster.hosts:
        used = sum(vm.size.cpu for vm in vms[host.id] if vm.kind is Kind.RUNNING)
        load = used / host.size.cpu if host.size.cpu > 0 else 0.0
        watts = host.curve.off if host.phase is Phase.OFF else host.curve.at(load)
        if math.isfinite(watts):
            yield host.id, watts


def _hosts(cluster: Cluster, decision: Decision, now: float) -> Iterator[Mapping[str, object]]:
    leaving = {drain.slot for drain in decision.plan.drains}
    actions = {action.host: action for action in decision.actions}
    for host in cluster.hosts:
        action = actions.get(host.id)
        off = isinstance(action, PowerOff) or (action is None and host.id in leaving)
        yield {
            "id": host.id,
            "name": host.name,
            "cluster_id": cluster.id,
            "phase": host.phase.value if host.phase else "",
            "since": host.claim.since if host.claim else None,
            "then": "off" if off else type(action).__name__.lower() if action else "stays",
            "reason": decision.reasons.get(host.id, ""),
            "bmc": host.bmc.value,
            "idle_watts": host.curve.idle,
            "saved_kwh": host.joules(now) / JOULES_PER_KWH,
            "failed_wakes": host.record.failed_wakes,
        }


def _cluster(
    cluster: Cluster, policy: Policy, decision: Decision, state: Path, now: float
) -> Mapping[str, object]:
    entries = ledger.since(ledger.read(state, cluster.id), now - DAY)[-_MOST_SAMPLES:]
    day = [
        {"at": one.when, "on": int(one.on), "off": int(one.off), "saved_kwh": one.net_joules / JOULES_PER_KWH}
        for one in entries
        if all(map(math.isfinite, (one.when, one.on, one.off, one.net_joules)))
    ]
    last = entries[-1] if entries else None
    off = sum(not host.takes_vms for host in cluster.hosts)
    return {
        "id": cluster.id,
        "name": cluster.name,
        "mode": policy.mode.value,
        "held": decision.held,
        "on": len(cluster.hosts) - off,
        "off": off,
        "saved_kwh": day[-1]["saved_kwh"] if day else 0.0,
        "wakes": int(last.wakes) if last else 0,
        "failed_wakes": int(last.failed_wakes) if last else 0,
        "migrations": int(last.migrations) if last else 0,
        "day": day,
    }
