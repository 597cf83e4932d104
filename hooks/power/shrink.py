"""Which hosts could be switched off now: the cluster put to the planner as a problem."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

from hooks.power import buffer
from hooks.power.candidates import Case, why_not
from hooks.power.demand import Demand
from hooks.power.policy import Parked, Policy
from onext.hosts.energy import stepped
from onext.hosts.model import Cluster, Guest, Host, Kind, Phase
from onext.hosts.placement.problem import ZERO, Load, Problem, Reserve, Size, Slot

MIB_PER_GB = 1024.0


def reasons(cluster: Cluster, policy: Policy, now: float) -> dict[int, str]:
    """Return for each host why it may not be emptied; empty where it may."""
    guests = cluster.by_host()
    return {host.id: why_not(Case(host, tuple(guests[host.id]), policy, now)) for host in cluster.hosts}


def problem(cluster: Cluster, policy: Policy, demand: Demand, stays: dict[int, str]) -> Problem:
    """Put hosts that take guests, and those being emptied, to the planner; what waits counts as buffer."""
    guests = cluster.by_host()
    hosts = [host for host in cluster.hosts if host.takes_guests or host.phase is Phase.DRAINING]
    hosts = [host for host in hosts if not host.by_hand]
    slots = tuple(_slot(host, policy, stays[host.id]) for host in hosts)
    torn = _torn(cluster)
    loads = [load for host in hosts for load in _loads(host, guests[host.id], policy, torn)]
    waits = tuple((1, guest.size, guest.hosts) for guest in demand.placed)
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
    """Return the keys of guests that should stand on one host and do not: moving one could make it worse."""
    first: dict[str, int] = {}
    standing = (guest for guest in cluster.guests if guest.together and guest.host >= 0)
    return {
        guest.together for guest in standing if first.setdefault(guest.together, guest.host) != guest.host
    }


def _loads(host: Host, guests: list[Guest], policy: Policy, torn: set[str]) -> Iterable[Load]:
    """Turn guests into loads; those that stand together into one."""
    bundles: dict[str, list[Guest]] = defaultdict(list)
    for guest in guests:
        bundles[guest.together or f"guest {guest.id}"].append(guest)
    for bundle in bundles.values():
        yield Load(
            tuple(guest.id for guest in bundle),
            host.id,
            sum((guest.size for guest in bundle), ZERO),
            sum(guest.size.memory for guest in bundle) / MIB_PER_GB,
            fixed=any(_stays(guest, host, policy) or guest.together in torn for guest in bundle),
            hosts=_common(guest.hosts for guest in bundle),
            apart=frozenset(key for guest in bundle for key in guest.apart),
        )


def _stays(guest: Guest, host: Host, policy: Policy) -> bool:
    """Whether a guest may not be moved: RUNNING ones move live, parked ones cold where the policy says so.

    A guest that changes its state while its host is being emptied may move a moment later.
    """
    if guest.fixed or not policy.pack or guest.kind is Kind.RUNNING:
        return bool(guest.fixed) or not policy.pack
    if guest.kind is Kind.BUSY:
        return host.phase is not Phase.DRAINING
    return policy.parked is Parked.BLOCK


def _common(sets: Iterable[frozenset[int] | None]) -> frozenset[int] | None:
    known = [hosts for hosts in sets if hosts is not None]
    return frozenset.intersection(*known) if known else None
