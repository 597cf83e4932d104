"""Give a host back that was not switched off: DISABLED, monitored again, enabled."""

from __future__ import annotations

from dataclasses import replace

from hooks.power.act.hand import Hand
from hooks.power.act.world import Sight
from hooks.power.model import Phase
from onext.oned.objects import HostState


def go_back(hand: Hand, sight: Sight, reason: str) -> str:
    """Begin to give a host back, and come as far as can be done without waiting."""
    claim = hand.claim(sight, Phase.RETURNING, reason=reason)
    hand.say(sight, "return", reason)
    return returning(hand, replace(hand.world.see(sight.id), claim=claim))


def returning(hand: Hand, sight: Sight) -> str:
    """Go on giving a host back."""
    assert sight.claim
    hand.go_on()
    if sight.state is HostState.OFFLINE:
        return _open_the_door(hand, sight)
    if sight.state is HostState.DISABLED:
        return _enable(hand, sight)
    hand.release(sight)  # enabled: by us a moment ago, or by an operator
    return f"given back: {sight.claim.reason}"


def _open_the_door(hand: Hand, sight: Sight) -> str:
    """Make it DISABLED; where it went off after all, it is a sleeping host to be woken."""
    if hand.is_off(sight):
        hand.claim(sight, Phase.WAKING, reason="it went off while it was being given back")
        return "it is off after all: to be woken"
    hand.world.disable(sight.id)
    return "waiting for monitoring"


def _wait(hand: Hand, sight: Sight) -> str:
    """Wait for monitoring; a shutdown that was ordered may still land, and a host may never come back."""
    assert sight.claim
    if hand.is_off(sight):
        hand.claim(sight, Phase.WAKING, reason="it went off while it was being given back")
        return "it is off after all: to be woken"
    if 0 <= hand.world.now() - sight.claim.since <= hand.limits.wake:
        return "waiting for monitoring"
    hand.claim(sight, Phase.QUARANTINED, reason="it was given back and is not monitored")
    hand.say(sight, "quarantine", "it was given back and is not monitored")
    return "quarantined"


def _enable(hand: Hand, sight: Sight) -> str:
    """Enable it once monitoring has come since we began; a drain that never closed the door need not wait."""
    assert sight.claim
    if sight.claim.capacity and sight.monitored <= sight.claim.since:
        return _wait(hand, sight)
    hand.world.enable(sight.id)
    hand.release(sight)
    return f"given back: {sight.claim.reason}"
