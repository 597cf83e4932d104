"""Run a week under a steering, and the bound that even perfect knowledge cannot beat."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from random import Random

from hooks.power.simulate.steering import Steering
from hooks.power.simulate.weeks import DAY, Arrival
from hooks.power.simulate.world import Node, Power, Totals, World
from onext.hosts.energy import JOULES_PER_KWH, Curve
from onext.hosts.placement.problem import ZERO, Size

TICK = 60.0


@dataclass
class Outcome:
    """What a steering made of a week. `hosts_on` and `bound_watts` are (seconds, value) points."""

    totals: Totals
    hosts_on: list[tuple[float, int]] = field(default_factory=list)

    @property
    def kwh(self) -> float:
        """Return the energy."""
        return self.totals.joules / JOULES_PER_KWH


def fleet(count: int, seed: int = 1) -> list[Node]:
    """Return hosts of two generations; the older ones are smaller and thirstier for their size."""
    random = Random(seed)  # noqa: S311 (a reproducible fleet, not a secret)
    nodes = []
    for number in range(count):
        old = number % 3 == 2
        size = Size(2400, 98_304) if old else Size(3200, 131_072)
        curve = Curve((90.0, 220.0), 7.0) if old else Curve((100.0, 280.0), 8.0)
        nodes.append(Node(number, size, curve, random.uniform(150, 260)))
    return nodes


def run(
    nodes: Sequence[Node],
    arrivals: Sequence[Arrival],
    steering: Steering,
    *,
    days: float = 7,
    progress: Callable[[float], None] = lambda _: None,
) -> Outcome:
    """Simulate the days tick by tick; `progress` is told the seconds of each."""
    world = World({node.id: node for node in nodes}, tick=TICK)
    outcome = Outcome(world.totals)
    coming = iter(enumerate(sorted(arrivals, key=lambda arrival: arrival.at)))
    following = next(coming, None)
    while world.now < days * DAY:
        while following and following[1].at <= world.now:
            world.queue.append(following)
            following = next(coming, None)
        world.schedule()
        steering.steer(world)
        outcome.hosts_on.append((world.now, sum(n.power is not Power.OFF for n in world.nodes.values())))
        world.advance(TICK)
        progress(TICK)
    world.totals.wait += sum(world.now - arrival.at for _, arrival in world.queue)
    world.totals.rejected = len(world.queue)
    return outcome


def bound_kwh(nodes: Sequence[Node], arrivals: Sequence[Arrival], days: float = 7) -> float:
    """Return the energy of a cluster that at each moment had just the best hosts for the load, in parts.

    Hosts may be switched in fractions, at once and for nothing; VMs start when they come. So no steering
    on the same hosts can use less for the same load.
    """
    joules = sum(_least_watts(nodes, load) * TICK for load in _loads(arrivals, days))
    return joules / JOULES_PER_KWH


def _loads(arrivals: Sequence[Arrival], days: float) -> Iterator[Size]:
    """Return the CPU and memory in use at each tick."""
    starts = sorted((arrival.at, arrival.size) for arrival in arrivals)
    ends = sorted((arrival.at + arrival.stays, arrival.size) for arrival in arrivals)
    cpu = memory = first = last = 0
    now = 0.0
    while now < days * DAY:
        while first < len(starts) and starts[first][0] <= now:
            cpu, memory = cpu + starts[first][1].cpu, memory + starts[first][1].memory
            first += 1
        while last < len(ends) and ends[last][0] <= now:
            cpu, memory = cpu - ends[last][1].cpu, memory - ends[last][1].memory
            last += 1
        yield Size(cpu, memory)
        now += TICK


def _least_watts(nodes: Sequence[Node], load: Size) -> float:
    """Return the least watts for a load: idle for the cheapest cover, the rise of the flattest curves.

    What exceeds all hosts has to wait, and draws nothing.
    """
    whole = sum((node.size for node in nodes), ZERO)
    load = Size(min(load.cpu, whole.cpu), min(load.memory, whole.memory))
    base = sum(node.curve.off for node in nodes)
    rise = min((node.curve.peak - node.curve.idle) / node.size.cpu for node in nodes) * load.cpu
    return base + rise + max(_cover(nodes, load, part) for part in (0, 1))


def _cover(nodes: Sequence[Node], load: Size, part: int) -> float:
    """Cover one resource with the hosts that need the fewest idle watts for it, the last in part."""
    rest, watts = float(load[part]), 0.0
    for node in sorted(nodes, key=lambda n: (n.curve.idle - n.curve.off) / n.size[part]):
        share = min(1.0, max(0.0, rest / node.size[part]))
        rest -= share * node.size[part]
        watts += share * (node.curve.idle - node.curve.off)
    return watts
