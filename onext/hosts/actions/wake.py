"""Wake a host: BMC on, ssh, DISABLED, monitored afresh, drivers brought up to date, enabled.

A wake that takes too long or whose sync fails is tried again while other hosts are woken in its place; after
a few failures it is quarantined until a person examines it.
"""

from __future__ import annotations

from dataclasses import replace

from onext.hosts.actions.actuator import Actuator
from onext.hosts.actions.world import Failed, Sight
from onext.hosts.model import OPEN, SHUT, Bmc, Claim, Phase, Record
from onext.oned.objects import HostState


def wake(actuator: Actuator, host: int, reason: str, *, by_hand: bool = False) -> str:
    """Begin to wake a host that we switched off, and come as far as can be done without waiting."""
    sight = actuator.world.see(host)
    wakeable = (Phase.OFF, Phase.QUARANTINED) if by_hand else (Phase.OFF,)
    if sight.claim is None or not sight.claim.verified or sight.claim.phase not in wakeable:
        return "it was not powered off by onext"
    if actuator.leases.bind(host, sight.claim, actuator.world):
        return "another server's intent still binds"
    if not by_hand and (stranger := _stranger(actuator, sight)):
        return actuator.leave(sight, stranger)
    slept = actuator.world.now() - sight.claim.since if sight.claim.phase is Phase.OFF else 0.0
    saved = actuator.curve(host).saved(max(0.0, slept), sight.record.boot_seconds)
    record = replace(
        sight.record,
        off_seconds=sight.record.off_seconds + max(0.0, slept),
        joules=sight.record.joules + max(0.0, saved),
    )
    asleep = sight.claim.phase is Phase.OFF
    claim = actuator.claim(sight, Phase.WAKING, record, reason=reason, failures=0, slept=asleep)
    return waking(actuator, replace(sight, claim=claim, record=record))


def _stranger(actuator: Actuator, sight: Sight) -> str:
    """Return what another user or program did to a sleeping host; empty when it still sleeps."""
    if actuator.world.ask_bmc(sight.id).state is Bmc.ON:
        return "another user or program switched it on"
    state = actuator.world.see(sight.id).state  # its BMC may have taken its time
    return (
        ""
        if state is HostState.OFFLINE
        else f"another user or program put it into {state.name} while it slept"
    )


def waking(actuator: Actuator, sight: Sight) -> str:
    """Continue to wake a host."""
    claim = sight.claim
    assert claim
    if sight.state not in SHUT:
        return _open_already(actuator, sight)
    if claim.opened and sight.state is HostState.OFFLINE:
        return actuator.reopen(sight)
    if actuator.waited(sight) > actuator.limits.wake:
        return _failed(actuator, sight, f"it did not come within {actuator.limits.wake:.0f} s")
    if claim.asked and actuator.world.reachable(sight.id):
        return _let_in(actuator, sight)
    return _ask(actuator, sight) if not claim.asked or actuator.is_off(sight) else "waiting for ssh"


def _again(actuator: Actuator, sight: Sight, record: Record | None = None, **changes: float) -> Claim:
    """Write the claim on a host that is being woken again, with what is known of this wake."""
    claim = sight.claim
    assert claim
    known = {"since": claim.since, "asked": claim.asked, "opened": claim.opened, "slept": claim.slept}
    return actuator.claim(sight, Phase.WAKING, record, **{**known, **changes})


def _open_already(actuator: Actuator, sight: Sight) -> str:
    """Take it as awake when monitoring has come since; else someone else controls it."""
    assert sight.claim
    if sight.claim.asked and sight.monitored > sight.claim.asked and sight.state in OPEN:
        return _awake(actuator, sight)  # enabled by us before we were killed, or by an operator
    return actuator.leave(sight, f"another user or program put it into {sight.state.name} while it woke")


def _ask(actuator: Actuator, sight: Sight) -> str:
    began = actuator.world.monotonic()
    sight = replace(sight, claim=_again(actuator, sight, asked=actuator.world.now()))
    if wrong := actuator.objection(sight, "on", began) or actuator.world.switch_bmc(sight.id, "on"):
        return f"its BMC did not accept the order: {wrong}"
    return "asked to switch on"


def _let_in(actuator: Actuator, sight: Sight) -> str:
    claim = sight.claim
    assert claim
    if not claim.opened:
        return actuator.reopen(sight, since=claim.since, asked=claim.asked, slept=claim.slept)
    if actuator.world.now() < claim.asked:  # the clock was set back: monitoring would never be newer
        _again(actuator, sight, asked=actuator.world.now())
    if sight.monitored <= claim.asked:
        return "waiting for monitoring"
    return _sync(actuator, sight)


def _sync(actuator: Actuator, sight: Sight) -> str:
    actuator.raise_if_stopped()
    try:
        actuator.world.sync(sight.id)
    except Failed as error:
        return _failed(actuator, sight, f"its drivers could not be brought up to date: {error}")
    if actuator.world.see(sight.id).state is not HostState.DISABLED:  # a sync takes its time
        return "checked again: its state changed meanwhile"
    actuator.world.enable(sight.id)
    return _awake(actuator, sight)


def _awake(actuator: Actuator, sight: Sight) -> str:
    """Write down that it woke, how long it took, and if it was off before, that it is proven."""
    assert sight.claim
    now = actuator.world.now()
    woken = _woken(sight.record, now, now - sight.claim.asked)
    actuator.release(sight, replace(woken, proven=now) if sight.claim.slept else woken)
    actuator.report(sight, "on", sight.claim.reason)
    return "awake"


def _woken(record: Record, now: float, seconds: float) -> Record:
    boot = min(max(seconds, 1.0), 7200.0)  # a jump of the clock is not a boot time
    return replace(record, boot_seconds=boot, on_since=now, wakes=record.wakes + 1)


def _failed(actuator: Actuator, sight: Sight, reason: str) -> str:
    assert sight.claim
    failures = sight.claim.failures + 1
    record = replace(sight.record, failed_wakes=sight.record.failed_wakes + 1)
    if failures >= actuator.limits.failures:
        actuator.claim(sight, Phase.QUARANTINED, record, reason=reason, failures=failures)
        actuator.report(sight, "quarantine", f"{reason}; it failed {failures} times")
    else:
        _again(actuator, sight, record, since=actuator.world.now(), asked=0.0, failures=failures)
        actuator.report(sight, "wake-failed", f"{reason}; others are woken in its place")
    return reason
