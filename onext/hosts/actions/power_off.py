"""Empty a host and switch it off, one step after the other, each looked at before and after.

DRAINING: disabled, VMs leave. CLOSING: capacity kept, offline, looked at again. STOPPING: soft power-off,
then the hard one, both only while it is still empty. Whatever does not fit goes back (return_to_service.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from onext.hosts.actions.actuator import Hand
from onext.hosts.actions.return_to_service import go_back
from onext.hosts.actions.world import Sight
from onext.hosts.model import Bmc, Phase
from onext.hosts.placement.problem import Move
from onext.oned.objects import HostState

OPEN = (HostState.MONITORED, HostState.MONITORING_MONITORED)


def power_off(hand: Hand, host: int, moves: Sequence[Move], reason: str) -> str:
    """Bring a host as far towards off as can be done without waiting; return what is awaited."""
    sight = hand.world.see(host)
    if sight.claim is None:
        return _begin(hand, sight, moves, reason)
    if hand.leases.bind(host, sight.claim, hand.world):
        return "another server's intent still binds"
    if sight.claim.phase is Phase.DRAINING:
        return _drain(hand, sight, moves)
    if sight.claim.phase is Phase.CLOSING:
        return _close(hand, sight)
    return stopping(hand, sight)


def _begin(hand: Hand, sight: Sight, moves: Sequence[Move], reason: str) -> str:
    """Claim a host that is well, and disable it."""
    if sight.state not in OPEN:
        return f"not begun: it is {sight.state.name}"
    if wrong := hand.verified(sight):
        return f"not begun: {wrong}"
    claim = hand.claim(sight, Phase.DRAINING, reason=reason, failures=0)
    hand.say(sight, "drain", reason)
    return _drain(hand, replace(sight, claim=claim), moves)


def _drain(hand: Hand, sight: Sight, moves: Sequence[Move]) -> str:
    assert sight.claim
    if not sight.claim.asked:
        state = hand.world.see(sight.id).state  # its BMC may have taken its time
        if state not in (*OPEN, HostState.DISABLED):
            return hand.leave(sight, f"somebody else put it into {state.name} before it was emptied")
        hand.world.disable(sight.id)
        claim = hand.claim(sight, Phase.DRAINING, asked=hand.world.now(), since=sight.claim.since)
        sight = replace(hand.world.see(sight.id), claim=claim)
    if sight.state is not HostState.DISABLED:
        return hand.leave(sight, f"somebody else put it into {sight.state.name} while it was emptied")
    if sight.empty:
        return _shut_the_door(hand, sight)
    if hand.waited(sight) > hand.limits.drain:
        return go_back(hand, sight, "its VMs did not leave in time")
    begun = sum(_migrate(hand, vm, move) for move in moves for vm in move.vms)
    return f"{len(sight.vms)} VMs to go, {begun} migrations begun"


def _migrate(hand: Hand, vm: int, move: Move) -> bool:
    """Begin one migration; VMs of other hosts make way too."""
    hand.go_on()
    return hand.world.migrate(vm, move.source, move.target)


def _shut_the_door(hand: Hand, sight: Sight) -> str:
    """Keep what oned forgets of an OFFLINE host, then make it one."""
    claim = hand.claim(sight, Phase.CLOSING, capacity=dict(sight.capacity))
    hand.world.offline(sight.id)
    return _close(hand, replace(hand.world.see(sight.id), claim=claim))


def _close(hand: Hand, sight: Sight) -> str:
    if sight.state not in (HostState.DISABLED, HostState.OFFLINE):
        return hand.leave(sight, f"somebody else put it into {sight.state.name} while it was closed")
    if not sight.empty:
        return go_back(hand, sight, f"VMs came before the door was shut: {_shown(sight)}")
    if sight.state is HostState.DISABLED:  # we were killed before it was offline
        return _shut_the_door(hand, sight)
    if wrong := hand.verified(sight):
        return go_back(hand, sight, wrong)
    return _ask_softly(hand, sight)


def _shown(sight: Sight) -> str:
    return ", ".join(map(str, sorted(sight.vms)[:5])) or f"{sight.wild} wild ones"


def _ask_softly(hand: Hand, sight: Sight) -> str:
    if went := _order(hand, sight, "off-soft"):
        return went
    if not hand.world.proves_off(sight.id):  # it took the order and fell silent: there is no more to know
        return _confirmed(hand, hand.world.see(sight.id))
    return "asked to shut down"


def _order(hand: Hand, sight: Sight, what: str) -> str:
    """Write the intent, look for the last time, tell the BMC; return how it went on where that failed."""
    began = hand.world.monotonic()
    claim = hand.claim(sight, Phase.STOPPING, asked=hand.world.now(), hard=what == "off-hard")
    mine = replace(sight, claim=claim)
    if wrong := hand.objection(sight, what, began):
        return go_back(hand, mine, wrong, ordered=what == "off-hard")  # softly it was asked before
    if wrong := hand.world.switch_bmc(sight.id, what):
        return go_back(hand, mine, wrong, ordered=True)  # no answer is no refusal
    return ""


def stopping(hand: Hand, sight: Sight) -> str:
    """Go on with a host whose BMC was, or was about to be, told to switch off."""
    assert sight.claim
    if sight.claim.phase is not Phase.STOPPING:
        return f"nothing to do: {sight.claim.phase.value}"
    if sight.state is not HostState.OFFLINE:
        return hand.leave(sight, f"somebody else put it into {sight.state.name} while it shut down")
    answer = hand.world.ask_bmc(sight.id)
    if answer.state is Bmc.OFF or (answer.state is Bmc.SILENT and not hand.world.proves_off(sight.id)):
        doubt = hand.doubt(sight)
        return _wait_or_press(hand, sight, doubt) if doubt else _confirmed(hand, sight)
    if not sight.empty:
        return go_back(hand, sight, f"VMs are bound to it: {_shown(sight)}", ordered=True)
    if answer.state is not Bmc.ON:
        return _silent(hand, sight, answer.error)
    return _wait_or_press(hand, sight, "it still runs")


def _silent(hand: Hand, sight: Sight, error: str) -> str:
    """Wait for a BMC that fell silent, for as long as both kinds of switching off may take."""
    if hand.waited(sight) <= hand.limits.soft_off + hand.limits.hard_off:
        return f"waiting for its BMC: {error}"
    if hand.world.reachable(sight.id):
        return go_back(hand, sight, f"its BMC fell silent, and it runs: {error}", ordered=True)
    reason = f"its BMC fell silent while it shut down: {error}"
    hand.claim(sight, Phase.QUARANTINED, reason=reason)
    hand.say(sight, "quarantine", reason)
    return "quarantined"


def _wait_or_press(hand: Hand, sight: Sight, why: str) -> str:
    """Wait for a machine that is not surely off, then take harder means."""
    assert sight.claim
    waited = hand.waited(sight)
    if sight.claim.hard:
        return f"waiting: {why}" if waited <= hand.limits.hard_off else _give_up(hand, sight, why)
    if waited <= hand.limits.soft_off:
        return f"waiting for it to shut down: {why}"
    return _order(hand, sight, "off-hard") or "switched off the hard way"


def _give_up(hand: Hand, sight: Sight, why: str) -> str:
    """Give it back, and take back its proof: it would be tried again and again."""
    hand.say(sight, "alarm", f"its BMC takes the power-off: {why}")
    unproven = replace(sight.record, proven=0.0)
    return go_back(hand, replace(sight, record=unproven), "it cannot be switched off", ordered=True)


def _confirmed(hand: Hand, sight: Sight) -> str:
    """Write down that the BMC confirmed it."""
    now = hand.world.now()
    record = replace(sight.record, offs=(*sight.record.offs, now))
    claim = hand.claim(sight, Phase.OFF, record, failures=0)
    hand.say(sight, "off", claim.reason)
    return "off"
