"""One round on one cluster: what was decided, then every claim that waits for something."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from hooks.power.decide import Action, Drop, Leave, PowerOff, Return, Wake
from onext.hosts.actions import power_off, recover, return_to_service, wake
from onext.hosts.actions.actuator import Actuator
from onext.hosts.actions.world import Failed, Sight, Stopped
from onext.hosts.model import GOING, NOT_OURS, Cluster, Host, Phase

Outcome = dict[int, str]


def act(actuator: Actuator, cluster: Cluster, actions: Iterable[Action]) -> Outcome:
    """Carry out a decision's actions, then continue with what waits; report the result for each host.

    What fails on one host does not keep the others from their turn.
    """
    outcome: Outcome = {}
    for action in actions:
        outcome[action.host] = _safely(lambda action=action: _do(actuator, action))  # type: ignore[misc]
    free = actuator.limits.parallel_on - sum(
        _verified(host) and host.phase is Phase.WAKING for host in cluster.hosts
    )
    for host in cluster.hosts:
        if host.id in outcome or not _waits(host):
            continue
        if not _verified(host):
            free -= 1
            if free < 0:
                outcome[host.id] = "no record verifies its claim: it waits for its turn to be brought back"
                continue
        outcome[host.id] = _safely(lambda host=host: _continue(actuator, host.id))  # type: ignore[misc]
    return outcome


def _waits(host: Host) -> bool:
    """Whether a claim waits for its next step, or is one that no document verifies."""
    return (
        host.phase in WAITING
        or (host.by_hand and host.phase in GOING)
        or not (_verified(host) or host.phase in NOT_OURS)
    )


def _verified(host: Host) -> bool:
    return host.claim is None or host.claim.verified


WAITING = (Phase.STOPPING, Phase.WAKING, Phase.RETURNING)
LONG = 600.0  # seconds after which what still waits has time until the next round


def under_way(cluster: Cluster, actions: Iterable[Action], now: float) -> bool:
    """Whether the next look should come soon: hosts boot, are monitored again or shut down."""
    for action in actions:
        if isinstance(action, Wake | Return) or (
            isinstance(action, PowerOff) and not cluster.on(action.host)
        ):
            return True
    since = (host.claim.since for host in cluster.hosts if host.claim and host.phase in WAITING)
    return any(0 <= now - when < LONG for when in since)


def _safely(step: Callable[[], str]) -> str:
    try:
        return step()
    except Failed as error:
        return f"tried again later: {error}"
    except Stopped:
        return "stopped by `onext stop power`"


def _do(actuator: Actuator, action: Action) -> str:
    if isinstance(action, PowerOff):
        if actuator.stale:
            return "the decision is too old: it is made again"
        return power_off.power_off(actuator, action.host, action.moves, action.reason)
    if isinstance(action, Wake):
        return wake.wake(actuator, action.host, action.reason)
    sight = actuator.world.see(action.host)
    if sight.claim is None:
        return "onext has no claim on it"
    if actuator.leases.bind(action.host, sight.claim, actuator.world):
        return "another server's intent still binds"
    return _give_up(actuator, sight, action)


def _give_up(actuator: Actuator, sight: Sight, action: Action) -> str:
    assert sight.claim
    if isinstance(action, Leave):
        return actuator.leave(sight, action.reason)
    if isinstance(action, Return) and sight.claim.phase in (Phase.DRAINING, Phase.CLOSING):
        return return_to_service.go_back(actuator, sight, action.reason)
    if isinstance(action, Drop) and sight.claim.phase is Phase.LEFT:
        actuator.release(sight)
        return action.reason
    return "its state has changed"


def _continue(actuator: Actuator, host: int) -> str:
    """Take the next step of a claim that waits."""
    sight = actuator.world.see(host)
    if sight.claim and not sight.claim.verified and sight.claim.phase not in NOT_OURS:
        bound = actuator.leases.bind(host, sight.claim, actuator.world)
        return "another server's intent still binds" if bound else recover.recover(actuator, sight)
    if sight.claim and sight.claim.by_hand and sight.claim.phase in GOING:
        return power_off.power_off(
            actuator, host, (), sight.claim.reason
        )  # the process that ordered it may have ended
    if sight.claim is None or sight.claim.phase not in WAITING:
        return "done"
    if actuator.leases.bind(host, sight.claim, actuator.world):
        return "another server's intent still binds"
    if sight.claim.phase is Phase.STOPPING:
        return power_off.stopping(actuator, sight)
    return (wake.waking if sight.claim.phase is Phase.WAKING else return_to_service.returning)(
        actuator, sight
    )
