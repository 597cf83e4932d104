"""What a host draws: watts against load, and when switching it off is worth the boot.

A curve is a model (its `source`) until something was measured, which bends it: metered.py.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace

DEFAULT_IDLE, DEFAULT_PEAK, DEFAULT_OFF = 100.0, 250.0, 8.0  # W: a common two-socket server
SHUTDOWN_SECONDS = 60.0
JOULES_PER_GB = 525.0  # of a live migration, both hosts: 0.512 J per MB (Liu et al., HPDC 2011)
JOULES_PER_KWH = 3.6e6
STEP = 1.1
MODEL = "model"
NAMES = {"bmc": "the BMCs", "scaphandre": "Scaphandre", "kepler": "Kepler", MODEL: "the model"}


@dataclass(frozen=True, slots=True)
class Curve:
    """Watts at evenly spaced loads from idle to full (two points, or SPECpower's eleven), and when off."""

    points: tuple[float, ...] = (DEFAULT_IDLE, DEFAULT_PEAK)
    off: float = DEFAULT_OFF
    source: str = MODEL  # of its idle watts

    @property
    def saves(self) -> float:
        """Return the watts less when it is off instead of idle."""
        return max(0.0, self.idle - self.off)

    def measured(self, idle: float, off: float | None, source: str) -> Curve:
        """Return the curve that rises as this one does from the idle watts that were measured."""
        points = tuple(idle + point - self.idle for point in self.points)
        return replace(self, points=points, off=self.off if off is None else off, source=source)

    @property
    def idle(self) -> float:
        """Return the watts with nothing to do."""
        return self.points[0]

    @property
    def peak(self) -> float:
        """Return the watts at full load."""
        return self.points[-1]

    def at(self, load: float) -> float:
        """Return the watts at a load from 0 to 1, on straight lines between the points."""
        steps = len(self.points) - 1
        position = min(max(load, 0.0), 1.0) * steps
        left = min(int(position), steps - 1)
        return self.points[left] + (position - left) * (self.points[left + 1] - self.points[left])

    def break_even(self, boot_seconds: float) -> float:
        """Return the least seconds from switching off to being back that save energy; inf where none do.

        Booting draws the peak, shutting down what idling does.
        """
        saved = self.idle - self.off
        if saved <= 0:
            return float("inf")
        return (self.peak - self.idle) * boot_seconds / saved + boot_seconds + SHUTDOWN_SECONDS

    def saved(self, seconds: float, boot_seconds: float) -> float:
        """Return the joules that so many seconds off have saved, the boot subtracted."""
        return (self.idle - self.off) * seconds - (self.peak - self.idle) * boot_seconds


def stepped(watts: float) -> float:
    """Return watts to the next step of 10 %: measured ones jitter, and no plan may follow that."""
    return round(STEP ** round(math.log(watts, STEP)), 1) if watts > 0 else 0.0


def sources(curves: Iterable[Curve]) -> str:
    """Return the source of hosts' idle watts, such as `12 by the BMCs, 3 by the model`."""
    counts = Counter(curve.source for curve in curves)
    return ", ".join(f"{counts[source]} by {name}" for source, name in NAMES.items() if counts[source])
