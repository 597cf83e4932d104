"""Fence a host that oned has in ERROR: off, verified, with a truthful answer. For host_error.rb and people.

The one exception to *empty* and to the worker: it acts by itself, only on the leader, only on a host in
ERROR, with a written intent; the BMC's driver verifies that it is the machine.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from onext.hosts.actions.actuator import Actuator, Event
from onext.hosts.actions.world import Sight
from onext.hosts.model import Bmc, Phase
from onext.oned.objects import HostState

IN_ERROR = (HostState.ERROR, HostState.MONITORING_ERROR)
EVERY = 2.0


class NotFenced(Exception):
    """The host may still run; the message states why."""


def fence(actuator: Actuator, host: int, within: float, pause: Callable[[float], None] = time.sleep) -> str:
    """Power a host off hard; return once its BMC has reported off twice and the host is silent.

    Raises NotFenced when that was not so within `within` seconds, or when it may not be done at all.
    """
    sight = require_fenceable(actuator, host)
    began = actuator.world.monotonic()
    actuator.claim(
        sight, Phase.LEFT, until=actuator.world.now() + actuator.limits.left_alone, reason="fenced"
    )
    if actuator.world.see(host).state not in IN_ERROR:
        raise NotFenced(f"{sight.name} has left ERROR meanwhile")
    if actuator.world.monotonic() - began > actuator.limits.lease / 2:
        raise NotFenced("it took too long since the intent was written")
    actuator.raise_if_stopped()
    refused = actuator.world.switch_bmc(host, "off-hard")  # where it was off already, too: the state decides
    return _confirm(actuator, sight, began + within, refused, pause)


def require_fenceable(actuator: Actuator, host: int) -> Sight:
    """Return a host as it is now; raise NotFenced where it is not in ERROR, or has no BMC."""
    sight = actuator.world.see(host)
    if sight.state not in IN_ERROR:
        raise NotFenced(f"{sight.name} is {sight.state.name}: only a host in ERROR is fenced")
    if not actuator.world.proves_off(host):
        raise NotFenced(f"{sight.name} has no BMC: its power state cannot be verified")
    return sight


def _confirm(
    actuator: Actuator, sight: Sight, ends: float, refused: str, pause: Callable[[float], None]
) -> str:
    agreeing, said = 0, ""
    while agreeing < 2:
        answer = actuator.world.ask_bmc(sight.id)
        agreeing = agreeing + 1 if answer.state is Bmc.OFF else 0
        said = answer.error or answer.state.value
        if agreeing < 2 and actuator.world.monotonic() > ends:
            order = f" (it refused the order: {refused})" if refused else ""
            raise NotFenced(f"{sight.name}: its BMC does not report that it is off: {said}{order}")
        pause(EVERY)
    if actuator.world.reachable(sight.id):
        raise NotFenced(f"{sight.name}: it answers although its BMC reports off: is it this host's BMC?")
    actuator.tell(Event(sight.id, sight.name, "fence", "switched off because oned has it in ERROR"))
    return f"{sight.name} is off"
