"""A line plot as SVG, written by hand: a plotting library would bring 40 MB to every front-end."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

WIDTH, HEIGHT, LEFT, BOTTOM, TOP, RIGHT = 900, 360, 60, 50, 40, 20
COLOURS = ("#888888", "#d55e00", "#0072b2", "#009e73")  # told apart by colour-blind people too
TICKS = 7
FONT = 'font-family="sans-serif" font-size="12"'


@dataclass(frozen=True)
class Line:
    """A named line of (x, y) points with rising x."""

    name: str
    points: Sequence[tuple[float, float]]


def svg(title: str, across: str, up: str, lines: Sequence[Line]) -> str:
    """Return the plot; the y axis begins at 0."""
    right = max((x for line in lines for x, _ in line.points), default=0.0) or 1.0
    top = 1.1 * max((y for line in lines for _, y in line.points), default=0.0) or 1.0
    middle = HEIGHT / 2
    turned = f'transform="rotate(-90 14 {middle})"'
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" {FONT}>',
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>',
        f'<text x="{WIDTH / 2}" y="20" text-anchor="middle" font-size="15">{escape(title)}</text>',
        f'<text x="{WIDTH / 2}" y="{HEIGHT - 8}" text-anchor="middle">{escape(across)}</text>',
        f'<text x="14" y="{middle}" text-anchor="middle" {turned}>{escape(up)}</text>',
        *_axes(right, top),
    ]
    for number, line in enumerate(lines):
        colour = COLOURS[number % len(COLOURS)]
        path = " ".join(f"{_x(x, right):.1f},{_y(y, top):.1f}" for x, y in _steps(line.points))
        parts.append(f'<polyline fill="none" stroke="{colour}" stroke-width="1.5" points="{path}"/>')
        x = LEFT + 10 + 130 * number
        parts.append(f'<text x="{x}" y="{TOP - 5}" fill="{colour}">{escape(line.name)}</text>')
    return "\n".join([*parts, "</svg>\n"])


def _axes(right: float, top: float) -> list[str]:
    lines = []
    for step in range(TICKS + 1):
        x, y = _x(right * step / TICKS, right), _y(top * step / TICKS, top)
        lines.append(f'<line x1="{x:.1f}" y1="{TOP}" x2="{x:.1f}" y2="{HEIGHT - BOTTOM}" stroke="#eeeeee"/>')
        lines.append(f'<line x1="{LEFT}" y1="{y:.1f}" x2="{WIDTH - RIGHT}" y2="{y:.1f}" stroke="#eeeeee"/>')
        below, beside = f"{right * step / TICKS:.3g}", f"{top * step / TICKS:.3g}"
        lines.append(f'<text x="{x:.1f}" y="{HEIGHT - BOTTOM + 16}" text-anchor="middle">{below}</text>')
        lines.append(f'<text x="{LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{beside}</text>')
    return lines


def _steps(points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
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


def _y(value: float, top: float) -> float:
    return HEIGHT - BOTTOM - (HEIGHT - BOTTOM - TOP) * value / top
