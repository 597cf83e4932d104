"""Which readings of power are plausible. A wrong figure is worse than none, because plans rely on it.

Seen on machines: DCMI 0 W with "measurement deactivated", 65,535 W (all bits set), PowerConsumedWatts 0 while
on, and the last figure repeated after the machine went off.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

LOWEST, HIGHEST = (
    2.0,
    20_000.0,
)  # W while on: a small edge node, a node with eight accelerators
HIGHEST_OFF = 60.0  # W of a machine that is off: its BMC, standby supplies, wake on LAN


@dataclass(frozen=True)
class Bounds:
    """Watts that are plausible while a machine is on (from `low` to `high`) and off (up to `off`)."""

    low: float = LOWEST
    high: float = HIGHEST
    off: float = HIGHEST_OFF

    def objection(self, watts: object, *, on: bool) -> str:
        """Return why a reading is not plausible, empty where it is."""
        if isinstance(watts, bool) or not isinstance(watts, (int, float)):
            return "not a number"
        if not math.isfinite(watts):
            return "not a finite number"
        if on and not self.low <= watts <= self.high:
            return f"{watts:g} W while on, plausible are {self.low:g} to {self.high:g} W"
        if not on and not 0 <= watts <= self.off:
            return f"{watts:g} W while off, plausible are at most {self.off:g} W: repeated from before?"
        return ""


@dataclass(frozen=True)
class Draw:
    """A machine's power draw: `watts` from `source`, or None; `implausible` names each figure left out."""

    watts: float | None = None
    source: str = ""
    implausible: tuple[str, ...] = ()
