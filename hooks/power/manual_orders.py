"""What a person orders: off, on, enrolment. The same steps and checks as by itself, followed to their end."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from hooks.power import part, placement_problem
from hooks.power.needed_hosts import Demand
from hooks.power.policy import Policy
from hooks.power.reasons_to_stay import Case, why_not
from hooks.power.round_snapshot import snapshot
from hooks.power.round_state import RoundState
from onext.hosts.actions import power_off, return_to_service, wake
from onext.hosts.actions.actuator import Actuator
from onext.hosts.actions.recover import recover
from onext.hosts.actions.world import Failed
from onext.hosts.model import NOT_OURS, Claim, Cluster, Host, Phase
from onext.hosts.placement.problem import Move, Problem, Reserve, Slot
from onext.hosts.placement.search import make_plan
from onext.part import Context


class Refused(Exception):
    """The order was not carried out; the message states why."""


@dataclass(frozen=True)
class Order:
    """A host, what is known around it, and who acts."""

    actuator: Actuator
    assessment: part.Assessment
    host: Host

    @classmethod
    def of(cls, context: Context, number: int, *, everywhere: bool = False) -> Order:
        """Return an order for host `number` in the clusters of the settings, or in all; raise Refused."""
        entries = part.book(context)
        seen = snapshot(context, entries)
        clusters = context.settings.power.clusters
        if everywhere:
            clusters = tuple(one.id for one in seen.cloud.clusters.values() if not one.problem)
        for cluster_id in clusters:
            assessment = part.assess(context, seen, cluster_id, RoundState())
            for host in assessment.cluster.hosts:
                if host.id == number:
                    return cls(part.actuator(context, entries, assessment, RoundState()), assessment, host)
        raise Refused(f"host {number} is in none of the clusters of `power: clusters:`")


def evacuation(cluster: Cluster, policy: Policy, host: Host) -> tuple[Move, ...]:
    """Plan to empty just this host; raise Refused where its VMs, buffer or minimum forbid it."""
    problem = placement_problem.problem(
        cluster, replace(policy, pack=True), Demand(), {h.id: "" for h in cluster.hosts}
    )
    slots = tuple(replace(slot, keep=slot.id != host.id, eager=slot.id == host.id) for slot in problem.slots)
    plan = make_plan(Problem(slots, problem.loads, problem.reserve))
    if not plan.drains:
        raise Refused(f"{host.name}: {_why_it_stays(cluster, policy, host, problem, slots)}")
    return plan.moves


def _why_it_stays(
    cluster: Cluster, policy: Policy, host: Host, problem: Problem, slots: tuple[Slot, ...]
) -> str:
    """Return which rule keeps a host on: each is left out in turn, until the host may leave."""
    others = sum(one.takes_vms for one in cluster.hosts if one.id != host.id)
    if others < policy.min_hosts:
        return f"MIN_HOSTS is {policy.min_hosts}, and {others} other hosts take VMs"
    reserve = problem.reserve
    if make_plan(Problem(slots, problem.loads, replace(reserve, spare_host=False))).drains:
        return "the others could not take the VMs of the largest host as well (spare_host)"
    if make_plan(Problem(slots, problem.loads, Reserve(min_slots=reserve.min_slots))).drains:
        return "the buffer for new VMs (BUFFER_VMS, BUFFER_GROUPS, BUFFER_CPU, BUFFER_MEMORY) would not fit"
    return "its VMs find no place on the other hosts (TARGET_UTILISATION counts)"


def switch_off(order: Order, *, evacuate: bool = False, unproven: bool = False) -> Iterator[str]:
    """Empty and switch off a host; yield what is being waited for. Raise Refused."""
    host, moves = order.host, emptying(order, evacuate=evacuate, unproven=unproven)
    order.actuator.mark_by_hand, order.actuator.enrolling = True, unproven
    yield from _follow(
        order, lambda: power_off.power_off(order.actuator, host.id, moves, "by hand"), (Phase.OFF,)
    )


def emptying(order: Order, *, evacuate: bool = False, unproven: bool = False) -> tuple[Move, ...]:
    """Return the migrations before a host is switched off; raise Refused where that is not permitted."""
    host, policy = order.host, replace(order.assessment.policy, min_on_seconds=0.0, cycles_per_day=1_000_000)
    if unproven:
        policy = replace(policy, proven_seconds=float("inf"))
        host = replace(host, record=replace(host.record, proven=host.record.proven or 1.0))
    policy = replace(policy, pack=policy.pack or evacuate)
    vms = order.assessment.cluster.on(host.id)
    if reason := why_not(Case(host, vms, policy, order.actuator.world.now())):
        raise Refused(f"{host.name}: {reason}")
    return evacuation(order.assessment.cluster, policy, host)


def switch_on(order: Order) -> Iterator[str]:
    """Wake a host that onext powered off, or stop emptying one; yield what is waited for."""
    require_ours(order)
    yield from _follow(order, lambda: _bring(order), (None,))


def require_ours(order: Order) -> None:
    """Raise Refused for a host that onext did not power off."""
    if order.host.phase in (None, Phase.LEFT):
        raise Refused(f"{order.host.name}: onext did not power it off: use its BMC and `onehost enable`")


def _bring(order: Order) -> str:
    """Take the next step that brings a host back, whatever the last one was."""
    actuator, sight = order.actuator, order.actuator.world.see(order.host.id)
    if sight.claim is None:
        return "awake"
    if not sight.claim.verified:
        return recover(actuator, sight)
    if actuator.leases.bind(sight.id, sight.claim, actuator.world):
        return "another server's intent still binds"
    phase = sight.claim.phase
    if phase in (Phase.OFF, Phase.QUARANTINED):
        return wake.wake(actuator, sight.id, "by hand", by_hand=True)
    if phase in (Phase.DRAINING, Phase.CLOSING):
        return return_to_service.go_back(actuator, sight, "by hand")
    return STEPS[phase](actuator, sight) if phase in STEPS else "someone else controls it"


STEPS = {
    Phase.STOPPING: power_off.stopping,
    Phase.WAKING: wake.waking,
    Phase.RETURNING: return_to_service.returning,
}


def _follow(order: Order, step: Callable[[], str], ends: tuple[Phase | None, ...]) -> Iterator[str]:
    """Repeat a step until the host is as wanted, or in a state that does not change by itself.

    The worker may have its rounds between two steps, and continues alone when the command has ended.
    """
    while True:
        try:
            said = step()
            claim = order.actuator.world.see(order.host.id).claim
        except Failed as error:
            yield f"tried again: {error}"
        else:
            yield said
            phase = claim.phase if claim else None
            if phase in ends:
                return
            if phase in NOT_OURS or (None not in ends and phase in (None, Phase.RETURNING)):
                raise Refused(f"{order.host.name}: {claim.reason if claim else said}")


def enroll(order: Order) -> Iterator[str]:
    """Prove that a host goes off, that it is the one whose BMC was told, and that it wakes; yield each step.

    A BMC that reports off while its host still answers proves nothing: the host returns to service.

    The only exception to *wake proven*: on an empty host, by hand.
    """
    require_empty(order)
    yield from switch_off(order, unproven=True)
    yield from switch_on(replace(order, host=replace(order.host, claim=Claim(Phase.OFF, 0.0))))


def require_empty(order: Order) -> None:
    """Raise Refused for a host with VMs."""
    if order.assessment.cluster.on(order.host.id):
        raise Refused(f"{order.host.name}: only an empty host is enrolled; move its VMs first")
