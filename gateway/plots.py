"""Small plots as SVG: the points of a line within a box, and its range in words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

WIDTH, HEIGHT = 600, 120
MOST = 300  # points


@dataclass(frozen=True)
class Plot:
    """`points` is what SVG's polyline takes; empty where there is nothing to draw."""

    points: str
    lowest: float
    highest: float
    begin: float
    end: float


def line(samples: Sequence[tuple[float, float]]) -> Plot | None:
    """Return the plot of (time, value) pairs, the oldest first; None for fewer than two."""
    chosen = samples[-MOST:]
    if len(chosen) < 2 or chosen[-1][0] <= chosen[0][0]:
        return None
    begin, end = chosen[0][0], chosen[-1][0]
    lowest, highest = min(value for _, value in chosen), max(value for _, value in chosen)
    top = max(highest, 1e-9)
    points = (
        f"{(when - begin) / (end - begin) * WIDTH:.1f},{HEIGHT - max(value, 0.0) / top * HEIGHT:.1f}"
        for when, value in chosen
    )
    return Plot(" ".join(points), lowest, highest, begin, end)
