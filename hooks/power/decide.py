"""The decision: a pure function of what is, the policy, the time and the last decision.

It decides what to do with each host and why, or why not. Bringing hosts back comes first and needs no second
thought; switching off waits until two decisions agree and the reason has lasted for IDLE_MINUTES.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from hooks.power import placement_problem
from hooks.power.needed_hosts import Demand, Situation, Wakes, coming, find_hosts
from hooks.power.policy import Mode, Policy
from hooks.power.reasons_to_stay import going, why_hold
from onext.hosts.model import Bmc, Cluster, Host, Kind, Phase
from onext.hosts.placement.problem import Drain, Move, Plan
from onext.hosts.placement.search import make_plan
from onext.oned.objects import HostState


@dataclass(frozen=True, slots=True)
class Action:
    """Something to do with a host, and why."""

    host: int
    reason: str


class Wake(Action):
    """Switch a host on that we switched off."""


class Return(Action):
    """Give up emptying a host: let it take VMs again."""


class Drop(Action):
    """Forget our claim."""


class Leave(Action):
    """Give our claim up for a day: someone else controls the host."""


@dataclass(frozen=True, slots=True)
class PowerOff(Action):
    """Empty a host by these moves and switch it off."""

    moves: tuple[Move, ...] = ()


@dataclass(frozen=True, slots=True)
class Memory:
    """What one decision leaves for the next. It can be lost: then switching off waits a little longer."""

    wanted_off: Mapping[int, float] = field(default_factory=dict)  # host -> since when, without a break
    wakes: Mapping[int, Wakes] = field(default_factory=dict)  # waiting VM -> hosts woken for it


@dataclass(frozen=True)
class Decision:
    """What to do now (`actions`), what would be done in the end (`plan`), and a reason for every host."""

    actions: tuple[Action, ...]
    reasons: Mapping[int, str]
    plan: Plan
    memory: Memory
    held: str = ""
    stuck: Mapping[int, str] = field(default_factory=dict)  # VM -> why it waits too long
    missing_buffer: int = 0


NOTHING = Plan((), frozenset())
EXPECTED = {
    Phase.OFF: HostState.OFFLINE,
    Phase.DRAINING: HostState.DISABLED,
    Phase.CLOSING: HostState.OFFLINE,
}


def decide(cluster: Cluster, policy: Policy, now: float, before: Memory) -> Decision:
    """Decide what to do with each host of a cluster."""
    foreign = tuple(_foreign(cluster, now))
    demand = find_hosts(Situation(cluster, policy, now, before.wakes))
    taken = {action.host for action in foreign}
    brought = tuple(_brought(cluster, policy, demand, taken))
    taken |= {action.host for action in brought}
    stays = placement_problem.reasons(cluster, policy, now)
    held = why_hold(cluster, policy, now) or _why_wait(cluster, demand)
    plan, since, more = NOTHING, dict[int, float](), tuple[Action, ...]()
    if held:
        more = tuple(_cancelled(cluster, held, taken))
    else:
        plan = make_plan(placement_problem.problem(cluster, policy, demand, stays))
        since = {drain.slot: before.wanted_off.get(drain.slot, now) for drain in plan.drains}
        more = tuple(_shrink(cluster, policy, plan, since, before, now))
    taken |= {host.id for host in cluster.hosts if host.by_hand}
    actions = (*foreign, *brought, *(action for action in more if action.host not in taken))
    return Decision(
        actions,
        _reasons(cluster, stays, plan, actions, held),
        plan,
        Memory(since, _wakes(demand, brought, before, now)),
        held,
        dict(_stuck(demand, policy, now)),
        demand.missing_buffer,
    )


def _foreign(cluster: Cluster, now: float) -> Iterator[Action]:
    """Drop claims on hosts that another user or program controls now, and those that have run out."""
    for host in cluster.hosts:
        expected = EXPECTED.get(host.phase) if host.phase else None
        if host.phase is Phase.DRAINING and host.claim and not host.claim.asked:
            expected = None  # killed between the claim and `disable`: no stranger's doing
        if host.phase is Phase.CLOSING and host.state is HostState.DISABLED:
            expected = None  # killed before `offline`
        if host.claim and host.phase is Phase.LEFT and now > host.claim.until:
            yield Drop(host.id, "its pause has ended")
        elif host.phase is Phase.OFF and host.bmc is Bmc.ON:
            yield Leave(host.id, "another user or program switched it on")
        elif expected and host.state is not expected:
            yield Leave(host.id, f"another user or program put it into {host.state.name}")


def _brought(cluster: Cluster, policy: Policy, demand: Demand, taken: set[int]) -> Iterator[Action]:
    """Bring back what is needed: hosts being emptied at once, sleeping ones a few at a time."""
    free = policy.max_parallel_on - sum(host.phase is Phase.WAKING for host in cluster.hosts)
    for host in cluster.hosts:
        reason = demand.bring.get(host.id) or (_given_back(host) if policy.mode is Mode.OFF else "")
        if not reason or host.id in taken:
            continue
        if host.phase in (Phase.DRAINING, Phase.CLOSING):
            yield Return(host.id, reason)
        elif free > 0:
            free -= 1
            yield Wake(host.id, reason)


def _given_back(host: Host) -> str:
    given_back = host.phase is Phase.OFF and not host.by_hand
    return "MODE is off: its hosts return to service" if given_back else ""


def _why_wait(cluster: Cluster, demand: Demand) -> str:
    """Return why shrinking waits for growing."""
    if demand.bring or demand.missing_buffer:
        return "hosts are being brought back"
    if any(coming(host) for host in cluster.hosts):
        return "a host is on its way back"
    return ""


def _cancelled(cluster: Cluster, held: str, taken: set[int]) -> Iterator[Action]:
    """Give up emptying hosts: until the reason to hold back is gone they would take no VMs."""
    for host in cluster.hosts:
        if host.phase in (Phase.DRAINING, Phase.CLOSING) and host.id not in taken:
            yield Return(host.id, held)


def _shrink(
    cluster: Cluster, policy: Policy, plan: Plan, since: Mapping[int, float], before: Memory, now: float
) -> Iterator[Action]:
    """Carry on with what was begun while it still makes sense, and begin what is ripe."""
    for host in cluster.hosts:
        if host.phase in (Phase.DRAINING, Phase.CLOSING) and policy.mode is not Mode.AUTO:
            yield Return(host.id, f"MODE is {policy.mode.value}")
        elif host.phase is Phase.CLOSING:
            yield PowerOff(host.id, "empty and not needed")
        elif host.phase is Phase.DRAINING and host.id in plan.kept:
            yield Return(host.id, "it is needed after all")
    if policy.mode is Mode.AUTO:
        yield from _off(cluster, policy, plan, since, before, now)


def _off(
    cluster: Cluster, policy: Policy, plan: Plan, since: Mapping[int, float], before: Memory, now: float
) -> Iterator[Action]:
    """Choose from the plan what may begin or continue now: always a part that is safe by itself."""
    hosts = {host.id: host for host in cluster.hosts}
    draining = {host.id for host in cluster.hosts if host.phase is Phase.DRAINING}
    free = policy.max_parallel_off - len(going(cluster))
    if draining & plan.kept:
        free = 0  # the plan relies on hosts that are only now returning to service: shrink after that
    budget = policy.max_migrations - cluster.migrations
    for drain in plan.drains:
        begun = drain.slot in draining
        moves = sum(len(move.vms) for move in drain.moves)
        ripe = drain.slot in before.wanted_off and now - since[drain.slot] >= policy.idle_seconds
        if begun or (ripe and free > 0 and (moves <= budget or not draining)):
            free -= not begun
            yield PowerOff(drain.slot, _why_off(hosts[drain.slot], drain), _within(drain.moves, budget))
            budget -= moves
            draining.add(drain.slot)
        elif _makes_way(drain):
            return  # what comes after may count on room that is not made now


def _within(moves: tuple[Move, ...], budget: int) -> tuple[Move, ...]:
    """Return as many moves, from the first on, as the budget of VMs allows."""
    allowed = []
    for move in moves:
        budget -= len(move.vms)
        if budget < 0:
            break
        allowed.append(move)
    return tuple(allowed)


def _makes_way(drain: Drain) -> bool:
    return any(move.source != drain.slot for move in drain.moves)


def _why_off(host: Host, drain: Drain) -> str:
    saves = f"saves {host.curve.saves:.0f} W"
    if not drain.moves:
        return f"empty and not needed: {saves}"
    count = sum(len(move.vms) for move in drain.moves)
    words = "1 VM fits" if count == 1 else f"{count} VMs fit"
    return f"{words} elsewhere ({drain.cost:.1f} GB to move): {saves}"


def _wakes(demand: Demand, brought: tuple[Action, ...], before: Memory, now: float) -> dict[int, Wakes]:
    """Count the hosts woken for each VM that still waits."""
    woken = {action.host for action in brought if isinstance(action, Wake)}
    waiting = {vm.id for vm in (*demand.placed, *demand.unplaced, *demand.overdue) if vm.kind is Kind.PENDING}
    counts = {vm: wakes for vm, wakes in before.wakes.items() if vm in waiting}
    for vm, host in demand.for_vms.items():
        if host in woken and vm in waiting:
            counts[vm] = Wakes(counts.get(vm, Wakes()).count + 1, now)
    return counts


def _stuck(demand: Demand, policy: Policy, now: float) -> Iterator[tuple[int, str]]:
    """Return for VMs that have waited too long what they wait for."""
    for vms, reason in (
        (demand.unplaced, "its size or requirements fit on no host that is on or may be woken"),
        (demand.placed, "a host with room for it is on its way"),
        (demand.overdue, "a host has room for it, but the scheduler does not place it"),
    ):
        for vm in vms:
            if vm.kind is Kind.PENDING and now - vm.since > policy.vm_wait_timeout:
                yield vm.id, reason


def _reasons(
    cluster: Cluster, stays: Mapping[int, str], plan: Plan, actions: tuple[Action, ...], held: str
) -> dict[int, str]:
    """Give each host its reason: what is done, else why it stays."""
    said = {action.host: action.reason for action in actions}
    leaving = {drain.slot: drain for drain in plan.drains}
    return {
        host.id: said.get(host.id)
        or stays[host.id]
        or (held and f"nothing shrinks now: {held}")
        or (_why_off(host, leaving[host.id]) + "; waits for its turn" if host.id in leaving else "needed")
        for host in cluster.hosts
    }
