"""Wake a host: BMC on, ssh, DISABLED, monitored afresh, drivers brought up to date, enabled.

A wake that takes too long or whose sync fails is tried again while other hosts are woken in its place; after
a few failures it is quarantined for a person to look at.
"""

from __future__ import annotations

from dataclasses import replace

from hooks.power.act.hand import Hand
from hooks.power.act.world import Failed, Sight
from hooks.power.model import Phase, Record
from onext.oned.objects import HostState


def wake(hand: Hand, host: int, reason: str, *, by_hand: bool = False) -> str:
    """Begin to wake a host that we switched off, and come as far as can be done without waiting."""
    sight = hand.world.see(host)
    wakeable = (Phase.OFF, Phase.QUARANTINED) if by_hand else (Phase.OFF,)
    if sight.claim is None or sight.claim.phase not in wakeable:
        return "not ours to wake"
    if hand.leases.bind(host, sight.claim, hand.world):
        return "another server's intent still binds"
    slept = hand.world.now() - sight.claim.since if sight.claim.phase is Phase.OFF else 0.0
    saved = hand.curve(host).saved(max(0.0, slept), sight.record.boot_seconds)
    record = replace(
        sight.record,
        off_seconds=sight.record.off_seconds + max(0.0, slept),
        joules=sight.record.joules + max(0.0, saved),
    )
    claim = hand.claim(sight, Phase.WAKING, record, reason=reason, failures=0)
    return waking(hand, replace(sight, claim=claim, record=record))


def waking(hand: Hand, sight: Sight) -> str:
    """Go on waking a host."""
    claim = sight.claim
    assert claim
    if sight.state not in (HostState.OFFLINE, HostState.DISABLED):
        return _open_already(hand, sight)
    if not 0 <= hand.world.now() - claim.since <= hand.limits.wake:  # also when the clock jumped back
        return _failed(hand, sight, f"it did not come within {hand.limits.wake:.0f} s")
    if not claim.asked or hand.is_off(sight):
        return _ask(hand, sight)
    return _let_in(hand, sight) if hand.world.reachable(sight.id) else "waiting for ssh"


def _open_already(hand: Hand, sight: Sight) -> str:
    """Take it as awake when monitoring has come since; else somebody else has it in hand."""
    assert sight.claim
    if sight.claim.asked and sight.monitored > sight.claim.asked and sight.state is HostState.MONITORED:
        return _awake(hand, sight)  # enabled by us before we were killed, or by an operator
    return hand.leave(sight, f"somebody else put it into {sight.state.name} while it woke")


def _ask(hand: Hand, sight: Sight) -> str:
    assert sight.claim
    began = hand.world.monotonic()
    claim = hand.claim(sight, Phase.WAKING, asked=hand.world.now(), since=sight.claim.since)
    if wrong := hand.switch(replace(sight, claim=claim), "on", began):
        return f"its BMC did not take it: {wrong}"
    return "asked to switch on"


def _let_in(hand: Hand, sight: Sight) -> str:
    assert sight.claim
    if sight.state is HostState.OFFLINE:
        hand.world.disable(sight.id)
        return "waiting for monitoring"
    if sight.monitored <= sight.claim.asked:
        return "waiting for monitoring"
    hand.go_on()
    try:
        hand.world.sync(sight.id)
    except Failed as error:
        return _failed(hand, sight, f"its drivers could not be brought up to date: {error}")
    hand.world.enable(sight.id)
    return _awake(hand, sight)


def _awake(hand: Hand, sight: Sight) -> str:
    """Write down that it woke, which proves that it does, and how long it took."""
    assert sight.claim
    now = hand.world.now()
    record = _proven(sight.record, now, now - sight.claim.asked)
    hand.release(sight, record)
    hand.say(sight, "on", sight.claim.reason)
    return "awake"


def _proven(record: Record, now: float, seconds: float) -> Record:
    boot = min(max(seconds, 1.0), 7200.0)  # a clock that jumped is no boot time
    return replace(record, proven=now, boot_seconds=boot, on_since=now, wakes=record.wakes + 1)


def _failed(hand: Hand, sight: Sight, reason: str) -> str:
    assert sight.claim
    failures = sight.claim.failures + 1
    record = replace(sight.record, failed_wakes=sight.record.failed_wakes + 1)
    if failures >= hand.limits.failures:
        hand.claim(sight, Phase.QUARANTINED, record, reason=reason, failures=failures)
        hand.say(sight, "quarantine", f"{reason}; it failed {failures} times")
    else:
        hand.claim(sight, Phase.WAKING, record, failures=failures)
        hand.say(sight, "wake-failed", f"{reason}; others are woken in its place")
    return reason
