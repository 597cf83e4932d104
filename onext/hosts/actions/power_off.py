"""Empty a host and switch it off, one step after the other, each verified before and after.

DRAINING: disabled, VMs leave. CLOSING: capacity kept, offline, checked again. STOPPING: soft power-off,
then the hard one, both only while it is still empty. Whatever does not fit goes back (return_to_service.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from onext.hosts.actions.actuator import Actuator
from onext.hosts.actions.return_to_service import go_back
from onext.hosts.actions.world import MoveRefused, Sight
from onext.hosts.model import OPEN, SHUT, Bmc, Claim, Phase
from onext.hosts.placement.problem import Move
from onext.oned.objects import HostState

MOST_TRIES = 3  # migrations of one VM that are begun for one order


def power_off(actuator: Actuator, host: int, moves: Sequence[Move], reason: str) -> str:
    """Bring a host as far towards off as can be done without waiting; return what is awaited."""
    sight = actuator.world.see(host)
    if sight.claim is None:
        return _begin(actuator, sight, moves, reason)
    if not sight.claim.verified:
        return "no record verifies its claim: it may only be brought back"
    if actuator.leases.bind(host, sight.claim, actuator.world):
        return "another server's intent still binds"
    if sight.claim.phase is Phase.DRAINING:
        return _drain(actuator, sight, moves)
    if sight.claim.phase is Phase.CLOSING:
        return _close(actuator, sight)
    return stopping(actuator, sight)


def _begin(actuator: Actuator, sight: Sight, moves: Sequence[Move], reason: str) -> str:
    """Claim a host that is well, and disable it."""
    if sight.state not in OPEN:
        return f"not begun: it is {sight.state.name}"
    intended = Claim(Phase.DRAINING, actuator.world.now(), by_hand=actuator.mark_by_hand, reason=reason)
    if reason_against := actuator.forbids(replace(sight, claim=intended), actuator.enrolling):
        return f"not begun: {reason_against}"
    if wrong := actuator.verified(sight):
        return f"not begun: {wrong}"
    claim = actuator.claim(sight, Phase.DRAINING, reason=reason, failures=0)
    actuator.report(sight, "drain", reason)
    return _drain(actuator, replace(sight, claim=claim), moves)


def _drain(actuator: Actuator, sight: Sight, moves: Sequence[Move]) -> str:
    assert sight.claim
    if not sight.claim.asked:
        state = actuator.world.see(sight.id).state  # its BMC may have taken its time
        if state not in (*OPEN, HostState.DISABLED):
            return actuator.leave(
                sight, f"another user or program put it into {state.name} before it was emptied"
            )
        actuator.world.disable(sight.id)
        claim = actuator.claim(sight, Phase.DRAINING, asked=actuator.world.now(), since=sight.claim.since)
        sight = replace(actuator.world.see(sight.id), claim=claim)
    if sight.state is not HostState.DISABLED:
        return actuator.leave(
            sight, f"another user or program put it into {sight.state.name} while it was emptied"
        )
    if sight.empty:  # by its own list, which may leave out VMs that are powered off
        whole = actuator.world.see(sight.id, whole=True)
        sight = replace(sight, vms=whole.vms, wild=whole.wild)
    if sight.empty:
        return _set_offline(actuator, sight)
    if actuator.waited(sight) > actuator.limits.drain:
        return go_back(actuator, sight, "its VMs did not leave in time")
    begun = sum(_migrate(actuator, vm, move) for move in moves for vm in move.vms)
    if stuck := sorted(sight.vms & actuator.refused.keys()):
        return go_back(actuator, sight, f"VM {stuck[0]} cannot move: {actuator.refused[stuck[0]]}")
    return f"{len(sight.vms)} VMs to go, {begun} migrations begun"


def _migrate(actuator: Actuator, vm: int, move: Move) -> bool:
    """Begin one migration; VMs of other hosts make way too. What is refused does not keep the others."""
    actuator.raise_if_stopped()
    if vm in actuator.refused:
        return False
    if actuator.begun[vm] >= MOST_TRIES:
        actuator.refused[vm] = f"its migration was begun {MOST_TRIES} times and it is still there"
        return False
    try:
        begun = actuator.world.migrate(vm, move.source, move.target)
    except MoveRefused as error:
        actuator.refused[vm] = str(error)
        return False
    actuator.begun[vm] += begun
    return begun


def _set_offline(actuator: Actuator, sight: Sight) -> str:
    """Keep what oned forgets of an OFFLINE host, then make it one."""
    claim = actuator.claim(sight, Phase.CLOSING, capacity=dict(sight.capacity))
    actuator.world.offline(sight.id)
    return _close(actuator, replace(actuator.world.see(sight.id), claim=claim))


def _close(actuator: Actuator, sight: Sight) -> str:
    if sight.state not in SHUT:
        return actuator.leave(
            sight, f"another user or program put it into {sight.state.name} while it was closed"
        )
    if not sight.empty:
        return go_back(actuator, sight, f"VMs arrived before it was closed: {_shown(sight)}")
    if sight.state is HostState.DISABLED:  # we were killed before it was offline
        return _set_offline(actuator, sight)
    if wrong := actuator.verified(sight):
        return go_back(actuator, sight, wrong)
    return _ask_softly(actuator, sight)


def _shown(sight: Sight) -> str:
    return ", ".join(map(str, sorted(sight.vms)[:5])) or f"{sight.wild} wild ones"


def _ask_softly(actuator: Actuator, sight: Sight) -> str:
    if went := _order(actuator, sight, "off-soft"):
        return went
    if not actuator.world.proves_off(sight.id):  # it took the order and fell silent: there is no more to know
        return _confirmed(actuator, actuator.world.see(sight.id))
    return "asked to shut down"


def _order(actuator: Actuator, sight: Sight, what: str) -> str:
    """Write the intent, look for the last time, tell the BMC; return the result where that failed."""
    began = actuator.world.monotonic()
    claim = actuator.claim(sight, Phase.STOPPING, asked=actuator.world.now(), hard=what == "off-hard")
    mine = replace(sight, claim=claim)
    if wrong := actuator.objection(mine, what, began):
        return go_back(actuator, mine, wrong, ordered=what == "off-hard")  # softly it was asked before
    if wrong := actuator.world.switch_bmc(sight.id, what):
        return go_back(actuator, mine, wrong, ordered=True)  # a missing answer is not a refusal
    return ""


def stopping(actuator: Actuator, sight: Sight) -> str:
    """Continue with a host whose BMC was, or was about to be, told to switch off."""
    assert sight.claim
    if sight.claim.phase is not Phase.STOPPING or not sight.claim.verified:
        return f"nothing to do: {sight.claim.phase.value}"
    if sight.state is not HostState.OFFLINE:
        return actuator.leave(
            sight, f"another user or program put it into {sight.state.name} while it shut down"
        )
    answer = actuator.world.ask_bmc(sight.id)
    if actuator.means_off(sight, answer):
        doubt = actuator.doubt(sight)
        return _wait_or_press(actuator, sight, doubt) if doubt else _confirmed(actuator, sight)
    if not sight.empty:
        return go_back(actuator, sight, f"VMs are bound to it: {_shown(sight)}", ordered=True)
    if answer.state is not Bmc.ON:
        return _silent(actuator, sight, answer.error)
    return _wait_or_press(actuator, sight, "it still runs")


def _silent(actuator: Actuator, sight: Sight, error: str) -> str:
    """Wait for a BMC that fell silent, for as long as both kinds of switching off may take."""
    if actuator.waited(sight) <= actuator.limits.soft_off + actuator.limits.hard_off:
        return f"waiting for its BMC: {error}"
    if actuator.world.reachable(sight.id):
        return go_back(actuator, sight, f"its BMC fell silent, and it runs: {error}", ordered=True)
    reason = f"its BMC fell silent while it shut down: {error}"
    actuator.claim(sight, Phase.QUARANTINED, reason=reason)
    actuator.report(sight, "quarantine", reason)
    return "quarantined"


def _wait_or_press(actuator: Actuator, sight: Sight, why: str) -> str:
    """Wait for a machine that is not surely off, then take harder means."""
    assert sight.claim
    waited = actuator.waited(sight)
    if sight.claim.hard:
        return f"waiting: {why}" if waited <= actuator.limits.hard_off else _give_up(actuator, sight, why)
    if waited <= actuator.limits.soft_off:
        return f"waiting for it to shut down: {why}"
    return _order(actuator, sight, "off-hard") or "powered off hard"


def _give_up(actuator: Actuator, sight: Sight, why: str) -> str:
    """Give it back, and take back its proof: it would be tried again and again."""
    actuator.report(sight, "alarm", f"its BMC takes the power-off: {why}")
    unproven = replace(sight.record, proven=0.0)
    return go_back(actuator, replace(sight, record=unproven), "it cannot be switched off", ordered=True)


def _confirmed(actuator: Actuator, sight: Sight) -> str:
    """Write down that the BMC confirmed it."""
    now = actuator.world.now()
    record = replace(sight.record, offs=(*sight.record.offs, now))
    claim = actuator.claim(sight, Phase.OFF, record, failures=0)
    actuator.report(sight, "off", claim.reason)
    return "off"
