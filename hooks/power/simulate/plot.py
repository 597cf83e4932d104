"""Line plots as SVG, written by hand: a plotting library would bring 40 MB to every front-end."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape

WIDTH, PANEL, LEFT, RIGHT, TOP, BOTTOM, GAP = 900, 270, 70, 20, 60, 45, 40
COLOURS = ("#888888", "#d55e00", "#0072b2", "#009e73")  # told apart by colour-blind people too
TICKS = 7  # at most so many on an axis
FONT = 'font-family="sans-serif" font-size="12"'
LEGEND = 130  # pixels for each name


@dataclass(frozen=True)
class Line:
    """A named line of (x, y) points with rising x; a staircase where values hold until they change."""

    name: str
    points: Sequence[tuple[float, float]]
    stairs: bool = True
    colour: str = ""


@dataclass(frozen=True)
class Panel:
    """Lines over one axis that begins at 0 and is called `up`; `whole`: nothing between two numbers."""

    up: str
    lines: Sequence[Line]
    whole: bool = False


def svg(title: str, across: str, panels: Sequence[Panel]) -> str:
    """Return the panels one below the other, over one axis called `across` that begins at 0."""
    right = max((x for panel in panels for line in panel.lines for x, _ in line.points), default=0.0) or 1.0
    height = TOP + len(panels) * (PANEL + GAP) - GAP + BOTTOM
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" {FONT}>',
        f'<rect width="{WIDTH}" height="{height}" fill="white"/>',
        f'<text x="{WIDTH / 2}" y="22" text-anchor="middle" font-size="15">{escape(title)}</text>',
        f'<text x="{WIDTH / 2}" y="{height - 8}" text-anchor="middle">{escape(across)}</text>',
    ]
    for number, panel in enumerate(panels):
        parts += _panel(panel, TOP + number * (PANEL + GAP), right)
    return "\n".join([*parts, "</svg>\n"])


def _panel(panel: Panel, above: float, right: float) -> Iterator[str]:
    highest = max((y for line in panel.lines for _, y in line.points), default=0.0)
    step = max(_step(highest or 1.0), 1.0 if panel.whole else 0.0)
    top = step * math.ceil(1.02 * (highest or 1.0) / step)
    middle = above + PANEL / 2
    turned = f'transform="rotate(-90 16 {middle})"'
    yield f'<text x="16" y="{middle}" text-anchor="middle" {turned}>{escape(panel.up)}</text>'
    yield from _grid(above, right, top, step)
    for number, line in enumerate(panel.lines):
        colour = line.colour or COLOURS[number % len(COLOURS)]
        points = _stairs(line.points) if line.stairs else line.points
        path = " ".join(f"{_x(x, right):.1f},{_y(y, top, above):.1f}" for x, y in points)
        yield f'<polyline fill="none" stroke="{colour}" stroke-width="1.5" points="{path}"/>'
        yield f'<text x="{LEFT + LEGEND * number}" y="{above - 8}" fill="{colour}">{escape(line.name)}</text>'


def _grid(above: float, right: float, top: float, step: float) -> Iterator[str]:
    below = above + PANEL
    for value in _ticks(right, _step(right)):
        x = f"{_x(value, right):.1f}"
        yield f'<line x1="{x}" y1="{above}" x2="{x}" y2="{below}" stroke="#eeeeee"/>'
        yield f'<text x="{x}" y="{below + 16}" text-anchor="middle">{value:g}</text>'
    for value in _ticks(top, step):
        y = _y(value, top, above)
        yield f'<line x1="{LEFT}" y1="{y:.1f}" x2="{WIDTH - RIGHT}" y2="{y:.1f}" stroke="#eeeeee"/>'
        yield f'<text x="{LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{value:g}</text>'


def _step(largest: float) -> float:
    """Return the round distance (1, 2 or 5 times a power of ten) that needs at most TICKS up to `largest`."""
    power = 10.0 ** math.floor(math.log10(largest / TICKS))
    return next(factor * power for factor in (1, 2, 5, 10) if factor * power * TICKS >= largest)


def _ticks(largest: float, step: float) -> Iterator[float]:
    yield from (round(number * step, 9) for number in range(int(largest / step + 1e-9) + 1))


def _stairs(points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """Keep the points at which the value changes, as a staircase."""
    steps: list[tuple[float, float]] = []
    for x, y in points:
        if steps and steps[-1][1] != y:
            steps.append((x, steps[-1][1]))
        if not steps or steps[-1][1] != y:
            steps.append((x, y))
    return [*steps, *points[-1:]]


def _x(value: float, right: float) -> float:
    return LEFT + (WIDTH - LEFT - RIGHT) * value / right


def _y(value: float, top: float, above: float) -> float:
    return above + PANEL - PANEL * value / top
