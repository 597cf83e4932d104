"""Synthetic weeks: when VMs come, how large they are, how long they stay.

Three kinds that differ in what makes them hard: `office` breathes with the working day, `batch` is flat with
steep bursts at night, `growth` rises through the week while most VMs stay.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from random import Random

from onext.hosts.placement.problem import Size

DAY = 86_400.0
WEEK = 7 * DAY
FLAVOURS = (Size(100, 2048), Size(100, 4096), Size(200, 8192), Size(400, 16_384), Size(800, 32_768))
WEIGHTS = (8, 10, 8, 4, 1)


@dataclass(frozen=True, slots=True)
class Arrival:
    """A VM: when it comes (seconds from the start), its size, and for how many seconds it stays."""

    at: float
    size: Size
    stays: float


def office(share: float) -> float:
    """Return the load of a working week: full at noon on a weekday, a fifth at night and on Sunday."""
    day, hour = int(share // DAY) % 7, share % DAY / 3600
    working = max(0.0, math.sin((hour - 6) / 14 * math.pi)) if 6 <= hour <= 20 else 0.0
    return 0.2 + 0.8 * working * (1.0 if day < 5 else 0.25)


def batch(share: float) -> float:
    """Return a flat load with a burst at the beginning of each night."""
    hour = share % DAY / 3600
    return 0.9 if 1 <= hour < 4 else 0.35


def growth(share: float) -> float:
    """Return a load that doubles and more through the week, with a small daily wave."""
    return 0.25 + 0.45 * share / WEEK + 0.1 * math.sin(share / DAY * 2 * math.pi)


@dataclass(frozen=True)
class Shape:
    """A kind of week: its load over time (1 is the peak), and the mean stay of a VM in seconds."""

    load: Callable[[float], float]
    stay: float


SHAPES = {"office": Shape(office, 3 * 3600), "batch": Shape(batch, 2400), "growth": Shape(growth, 8 * 3600)}


def week(kind: str, capacity: Size, peak: float, seed: int, days: float = 7) -> list[Arrival]:
    """Draw the arrivals of a week whose load at its peak takes a share of the capacity.

    Arrivals are a Poisson process whose rate follows the load (Little's law), stays are exponential.
    """
    shape, random = SHAPES[kind], Random(seed)  # noqa: S311 (a reproducible week, not a secret)
    mean = sum(w * s.memory for w, s in zip(WEIGHTS, FLAVOURS, strict=True)) / sum(WEIGHTS)
    full = peak * capacity.memory / mean
    first = [_vm(random, 0.0, shape.stay) for _ in range(round(full * shape.load(0.0)))]
    return first + list(_arrivals(random, shape, full, days * DAY))


def _arrivals(random: Random, shape: Shape, full: float, end: float) -> Iterator[Arrival]:
    now, highest = 0.0, full / shape.stay
    while (now := now + random.expovariate(highest)) < end:
        if random.random() < shape.load(now):
            yield _vm(random, now, shape.stay)


def _vm(random: Random, now: float, stay: float) -> Arrival:
    return Arrival(now, random.choices(FLAVOURS, WEIGHTS)[0], max(300.0, random.expovariate(1 / stay)))


def highest(arrivals: Sequence[Arrival]) -> Size:
    """Return the most CPU and memory that are wanted at one time."""
    events = [(a.at, a.size) for a in arrivals] + [
        (a.at + a.stays, Size(-a.size.cpu, -a.size.memory)) for a in arrivals
    ]
    cpu = memory = most_cpu = most_memory = 0
    for _, size in sorted(events, key=lambda event: event[0]):
        cpu, memory = cpu + size.cpu, memory + size.memory
        most_cpu, most_memory = max(most_cpu, cpu), max(most_memory, memory)
    return Size(most_cpu, most_memory)
