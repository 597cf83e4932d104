"""What a host draws, from a model: watts against load, and when switching it off is worth the boot.

A curve's figures are wall power. RAPL is not, and a measured figure (BMC, then Kepler or Scaphandre) beats
the model; who shows one says which it was.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass

DEFAULT_IDLE, DEFAULT_PEAK, DEFAULT_OFF = 100.0, 250.0, 8.0  # W: a common two-socket server
SHUTDOWN_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Curve:
    """Watts at evenly spaced loads from idle to full (two points, or SPECpower's eleven), and when off."""

    points: tuple[float, ...] = (DEFAULT_IDLE, DEFAULT_PEAK)
    off: float = DEFAULT_OFF

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
        left = min(bisect_right(range(steps + 1), position) - 1, steps - 1)
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
