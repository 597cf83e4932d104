"""A simulated week of a cluster: use goes up and down by day, and balancing runs every five minutes."""

from __future__ import annotations

import math
import random
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from hooks.balance.model import Limits, Move, Past, Situation, Use
from hooks.balance.plan import decide, spread
from onext.hosts.model import Cluster
from onext.hosts.placement.problem import ZERO, Size

ROUND = 300.0  # seconds
DAY = 86_400.0
BEGIN = 1_800_000_000.0


@dataclass
class Week:
    """One run; `spreads` are the spreads of memory, one for each round."""

    cluster: Cluster
    limits: Limits
    seed: int = 0
    moves: list[tuple[float, Move]] = field(default_factory=list)
    spreads: list[float] = field(default_factory=list)

    def run(self, days: float, *, balanced: bool = True) -> Week:
        """Let time pass."""
        dice = random.Random(self.seed)
        phase = {vm.id: dice.random() for vm in self.cluster.vms}
        level = {vm.id: dice.uniform(0.3, 0.8) for vm in self.cluster.vms}
        past = Past()
        for number in range(int(days * DAY / ROUND)):
            now = BEGIN + number * ROUND
            vms = {
                vm.id: _scaled(
                    vm.size, level[vm.id] + 0.2 * math.sin(2 * math.pi * (now / DAY + phase[vm.id]))
                )
                for vm in self.cluster.vms
            }
            use = Use(self._hosts(vms), vms)
            self.spreads.append(spread(self.cluster, use.hosts))
            if not balanced:
                continue
            plan = decide(Situation(self.cluster, use, past, now), self.limits)
            past = replace(plan.past, moved={**plan.past.moved, **{move.vm: now for move in plan.moves}})
            self.moves += [(now, move) for move in plan.moves]
            places = {move.vm: move.target for move in plan.moves}
            moved = tuple(replace(vm, host=places.get(vm.id, vm.host)) for vm in self.cluster.vms)
            self.cluster = replace(self.cluster, vms=moved)
        return self

    def _hosts(self, vms: Mapping[int, Size]) -> dict[int, Size]:
        used = dict.fromkeys((host.id for host in self.cluster.hosts), ZERO)
        for vm in self.cluster.vms:
            used[vm.host] = used[vm.host] + vms[vm.id]
        return used

    @property
    def gib(self) -> float:
        """Return the memory that was moved."""
        return sum(move.gib for _, move in self.moves)

    def mean_spread(self) -> float:
        """Return the mean spread of the last six sevenths: the first is for settling."""
        kept = self.spreads[len(self.spreads) // 7 :]
        return sum(kept) / len(kept)


def _scaled(size: Size, share: float) -> Size:
    return Size(round(size.cpu * share), round(size.memory * share))
