"""Whether an order was done: asked again and again, believed when said twice."""

from __future__ import annotations

import time
from collections.abc import Callable

from hooks.power.bmc.interface import Bmc, Power, Reading, Refused

_AGREEING = 2  # readings in a row: a BMC that falters between two states says nothing


def confirmed(
    bmc: Bmc,
    wanted: Power,
    *,
    within: float,
    every: float = 2.0,
    contradicts: Callable[[], bool] = lambda: False,
) -> Reading:
    """Ask for at most `within` seconds until the machine is as wanted, and return the last reading.

    `contradicts` is other evidence, asked when all readings agree: a host that still answers is not off,
    whatever the BMC says, and reads UNKNOWN.
    """
    ends, agreeing = time.monotonic() + within, 0
    while True:
        said = bmc.power()
        agreeing = agreeing + 1 if said.power is wanted else 0
        if agreeing >= _AGREEING:
            return said if not contradicts() else _lying(said)
        if time.monotonic() + every > ends:
            return said if said.power is not wanted else _early(said)
        time.sleep(every)


def _lying(said: Reading) -> Reading:
    words = f"it says {said.power.value}, and the host shows the contrary: is it this host's BMC?"
    return Reading(Power.UNKNOWN, Refused(words), said.seconds)


def _early(said: Reading) -> Reading:
    words = f"it said {said.power.value} once, too late to be asked again"
    return Reading(Power.UNKNOWN, Refused(words), said.seconds)
