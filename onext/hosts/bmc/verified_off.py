"""Cut a machine's power and prove it: read, order, then read until the BMC has reported OFF twice in a row.

The order's own success or failure proves nothing: BMCs report a conflict where the machine is off already,
and success where nothing happens. Every reading and order verifies the machine's identity in its own session.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from math import inf

from onext.hosts.bmc.errors import BmcError, ConfigChanged, WrongMachine
from onext.hosts.bmc.protocol import Bmc, Power, Reading

_AGREEING = 2  # readings in a row
_PAUSE = 2.0  # seconds between two readings
_AGAIN = 15.0  # seconds after which a machine that is still on is ordered off once more
_HOPELESS = (WrongMachine, ConfigChanged)  # no later reading can concern this machine


class NotOff(Exception):
    """The machine may be on; the message contains the last report of its BMC."""


@dataclass(frozen=True)
class OffProof:
    """The machine was off at `at` (of the given clock), for the second time in a row.

    `ordered` is how often it was ordered off; `order_error` what the last order failed with, for people.
    """

    at: float
    ordered: int
    order_error: str = ""


def clock() -> float:
    """Return seconds that only grow, also while this machine is suspended."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def power_off(
    bmc: Bmc,
    within: float,
    *,
    not_after: float = inf,
    now: Callable[[], float] = clock,
    pause: Callable[[float], None] = time.sleep,
) -> OffProof:
    """Return the proof that a machine is off within `within` seconds; raise NotOff.

    Nothing is ordered before a reading was ON, nor when `now()` has passed `not_after`, the end of the intent
    that permits it, which the process that talks to the BMC checks again.
    """
    if not bmc.proves_off:
        raise NotOff("it has no BMC that could report that it is off")
    ends = now() + within
    agreeing = ordered = 0
    again, error = -inf, ""
    while True:
        reading = bmc.power()
        if isinstance(reading.failure, _HOPELESS):
            raise NotOff(reading.reason) from reading.failure
        agreeing = agreeing + 1 if reading.power is Power.OFF else 0
        if agreeing == _AGREEING:
            return OffProof(now(), ordered, error)
        if now() >= ends:
            raise NotOff(_why(reading, ordered, error))
        if reading.power is Power.ON and now() >= again:
            if now() >= not_after:
                raise NotOff("the intent to power it off has ended: no order is given")
            error, ordered, again = _order(bmc, not_after), ordered + 1, now() + _AGAIN
        pause(_PAUSE)


def _order(bmc: Bmc, not_after: float) -> str:
    """Order the power off; return what that failed with, for the state decides. Raise for another machine."""
    try:
        bmc.hard_off(not_after)
    except _HOPELESS as error:
        raise NotOff(str(error)) from error
    except BmcError as error:
        return str(error)
    return ""


def _why(reading: Reading, ordered: int, error: str) -> str:
    said = reading.reason or f"it reports {reading.power.value}"
    orders = f"ordered off {ordered} times" if ordered else "not ordered off"
    return f"its BMC did not report off twice: {said} ({orders}{f'; {error}' if error else ''})"
