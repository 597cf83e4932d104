"""Which hosts could be switched off now: the cluster put to the planner as a problem."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

from hooks.power import buffer
from hooks.power.needed_hosts import Demand
from hooks.power.policy import Parked, Policy
from hooks.power.reasons_to_stay import Case, why_not
from onext.hosts.energy import stepped
from onext.hosts.model import Cluster, Host, Kind, Phase, Vm
from onext.hosts.placement.problem import ZERO, Load, Problem, Reserve, Size, Slot

MIB_PER_GB = 1024.0


def reasons(cluster: Cluster, policy: Policy, now: float) -> dict[int, str]:
    """Return for each host why it may not be emptied; empty where it may."""
    vms = cluster.by_host()
    return {host.id: why_not(Case(host, tuple(vms[host.id]), policy, now)) for host in cluster.hosts}


def problem(cluster: Cluster, policy: Policy, demand: Demand, stays: dict[int, str]) -> Problem:
    """Put hosts that take VMs, and those being emptied, to the planner; what waits counts as buffer."""
    vms = cluster.by_host()
    hosts = [host for host in cluster.hosts if host.takes_vms or host.phase is Phase.DRAINING]
    hosts = [host for host in hosts if not host.by_hand]
    slots = tuple(_slot(host, policy, stays[host.id]) for host in hosts)
    torn = _torn(cluster)
    loads = [load for host in hosts for load in _loads(host, vms[host.id], policy, torn)]
    waits = tuple((1, vm.size, vm.hosts) for vm in demand.placed)
    wants = tuple(buffer.wanted(cluster, policy, more=1))  # the second threshold: one flavour more to shrink
    reserve = Reserve(waits + wants, policy.buffer_size, policy.spare_host, policy.min_hosts)
    return Problem(slots, tuple(loads), reserve)


def _slot(host: Host, policy: Policy, stays: str) -> Slot:
    share = policy.target_utilisation if policy.pack else 1.0
    limit = Size(int(host.size.cpu * share), int(host.size.memory * share))
    return Slot(
        host.id,
        host.size,
        limit,
        stepped(host.curve.saves),
        keep=bool(stays),
        eager=host.phase is Phase.DRAINING,
        turns=len(host.record.offs),
    )


def _torn(cluster: Cluster) -> set[str]:
    """Return the keys of VMs that belong on one host and are not there: moving one could make it worse."""
    first: dict[str, int] = {}
    standing = (vm for vm in cluster.vms if vm.together and vm.host >= 0)
    return {vm.together for vm in standing if first.setdefault(vm.together, vm.host) != vm.host}


def _loads(host: Host, vms: list[Vm], policy: Policy, torn: set[str]) -> Iterable[Load]:
    """Turn VMs into loads; VMs that belong together become one load."""
    bundles: dict[str, list[Vm]] = defaultdict(list)
    for vm in vms:
        bundles[vm.together or f"VM {vm.id}"].append(vm)
    for bundle in bundles.values():
        yield Load(
            tuple(vm.id for vm in bundle),
            host.id,
            sum((vm.size for vm in bundle), ZERO),
            sum(vm.size.memory for vm in bundle) / MIB_PER_GB,
            fixed=any(_stays(vm, host, policy) or vm.together in torn for vm in bundle),
            hosts=_common(vm.hosts for vm in bundle),
            apart=frozenset(key for vm in bundle for key in vm.apart),
        )


def _stays(vm: Vm, host: Host, policy: Policy) -> bool:
    """Whether a VM may not be moved: RUNNING ones move live, parked ones cold where the policy allows it.

    A VM that changes its state while its host is being emptied may move a moment later.
    """
    if vm.fixed or not policy.pack or vm.kind is Kind.RUNNING:
        return bool(vm.fixed) or not policy.pack
    if vm.kind is Kind.BUSY:
        return host.phase is not Phase.DRAINING
    return policy.parked is Parked.BLOCK


def _common(sets: Iterable[frozenset[int] | None]) -> frozenset[int] | None:
    known = [hosts for hosts in sets if hosts is not None]
    return frozenset.intersection(*known) if known else None
