"""Give a host back that was not switched off: DISABLED, monitored again, enabled."""

from __future__ import annotations

from dataclasses import replace

from onext.hosts.actions.actuator import Actuator
from onext.hosts.actions.world import Sight
from onext.hosts.model import SHUT, Phase
from onext.oned.objects import HostState

WENT_OFF = "it was powered off while it returned to service"


def go_back(actuator: Actuator, sight: Sight, reason: str, *, ordered: bool = False) -> str:
    """Begin to give a host back, and come as far as can be done without waiting.

    `ordered`: its BMC was, or may have been, told to switch it off, which may still happen.
    """
    asked = sight.claim.asked if sight.claim and ordered else 0.0
    claim = actuator.claim(sight, Phase.RETURNING, sight.record, reason=reason, asked=asked)
    actuator.report(sight, "return", reason)
    return returning(actuator, replace(actuator.world.see(sight.id), claim=claim))


def returning(actuator: Actuator, sight: Sight) -> str:
    """Continue to return a host to service."""
    assert sight.claim
    actuator.raise_if_stopped()
    if sight.state in SHUT and sight.claim.asked and actuator.waited(sight) <= actuator.limits.soft_off:
        return _may_land(actuator, sight)
    if sight.state is HostState.OFFLINE:
        return _open(actuator, sight)
    if sight.state is HostState.DISABLED:
        return _enable(actuator, sight)
    actuator.release(sight)  # enabled: by us a moment ago, or by an operator
    return f"returned to service: {sight.claim.reason}"


def _may_land(actuator: Actuator, sight: Sight) -> str:
    """Keep it OFFLINE while a shutdown that was ordered can still happen: VMs would go with it."""
    return (
        _to_be_woken(actuator, sight) if actuator.is_off(sight) else "waiting whether it shuts down after all"
    )


def _open(actuator: Actuator, sight: Sight) -> str:
    """Enable the host that onext took OFFLINE; if it went off after all, wake it like a sleeping host."""
    assert sight.claim
    if not sight.claim.capacity:  # it was being emptied: we never came to close it
        return actuator.leave(sight, "another user or program put it into OFFLINE while it was emptied")
    return _to_be_woken(actuator, sight) if actuator.is_off(sight) else actuator.reopen(sight)


def _to_be_woken(actuator: Actuator, sight: Sight) -> str:
    actuator.claim(sight, Phase.WAKING, reason=WENT_OFF)
    return "it is off after all: to be woken"


def _wait(actuator: Actuator, sight: Sight) -> str:
    """Wait for monitoring; a shutdown that was ordered may still land, and a host may never come back."""
    assert sight.claim
    if actuator.is_off(sight):
        return _to_be_woken(actuator, sight)
    if actuator.world.now() < sight.claim.since:  # the clock was set back: monitoring would never be newer
        actuator.claim(sight, Phase.RETURNING, opened=True)
        return "waiting for monitoring"
    if actuator.waited(sight) <= actuator.limits.wake:
        return "waiting for monitoring"
    actuator.claim(sight, Phase.QUARANTINED, reason="it was returned to service and is not monitored")
    actuator.report(sight, "quarantine", "it was returned to service and is not monitored")
    return "quarantined"


def _enable(actuator: Actuator, sight: Sight) -> str:
    """Enable it once monitoring has come since we began; a drain that never took it OFFLINE need not wait."""
    assert sight.claim
    if sight.claim.capacity and sight.monitored <= sight.claim.since:
        return _wait(actuator, sight)
    actuator.world.enable(sight.id)
    actuator.release(sight)
    return f"returned to service: {sight.claim.reason}"
