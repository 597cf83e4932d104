"""Anneal what was squeezed: fewer VMs change places, and room is found where the tabu search found none.

Each step relocates a random load or has two change places. What makes it worse, by overload or by moves, is
accepted by chance, ever less as it cools: that leads out of what no single step improves. The seed is fixed:
the same problem has the same plan.
"""

from __future__ import annotations

from math import exp, inf
from random import Random
from typing import TYPE_CHECKING

from onext.hosts.placement.refine import Squeeze

if TYPE_CHECKING:
    from onext.hosts.placement.refine import Change

STEPS_PER_LOAD, MOST_STEPS = 1_000, 150_000
HOT, COLD = 0.4, 0.1  # what a step may make worse at first and at last, in moves of an average load
OVERLOAD = 12  # moves that an average load too much on a host weighs
HOMEWARD = 0.5  # share of the steps of a load away from home that lead there
ALONE = 0.5  # share of the steps in which no other load changes places with it
NOISE = 1e-9  # what sums of floats are off at most


class Annealing(Squeeze):
    """An assignment whose moves between kept hosts become fewer."""

    def anneal(self) -> bool:
        """Search for the fewest moves that can be carried out; return whether any exist."""
        if self.hopeless:
            return False
        self._begin()
        steps = min(STEPS_PER_LOAD * len(self.loads), MOST_STEPS) if self.movable else 0
        for step in range(steps):
            if self.least < NOISE:
                break
            change = self._proposal()
            if change and self._maybe(change, HOT * (COLD / HOT) ** (step / steps)):
                self._remember()
        self._restore(self.best)
        return self.least < inf

    def _begin(self) -> None:
        self.random = Random(0).random  # noqa: S311 (a search, not a secret)
        self.movable = [
            n for n, load in enumerate(self.loads) if not load.fixed and self.place[n] in self.open
        ]
        self.excess = sum(map(self._trouble, self.open))
        self.moved = self._cost()
        sizes = sum(x.size.cpu * self.scale[0] + x.size.memory * self.scale[1] for x in self.loads)
        self.per_excess = OVERLOAD * len(self.loads) / (sizes or 1)
        self.per_cost = len(self.loads) / (sum(load.cost for load in self.loads) or 1)
        self.best, self.least = self.place, inf
        self._remember()

    def _remember(self) -> None:
        """Keep the best that can be carried out."""
        better = self.excess < NOISE and self.moved < self.least - NOISE
        if better and not any(self._trouble(slot) > 0 for slot in self.open) and not self.shifts()[1]:
            self.best, self.least = list(self.place), self.moved

    def _proposal(self) -> Change | None:
        number = self.movable[int(self.random() * len(self.movable))]
        place, home = self.place[number], self.loads[number].slot
        homeward = home != place and home in self.limit and self.random() < HOMEWARD
        slot = home if homeward else self.open[int(self.random() * len(self.open))]
        if slot == place or not self._allows(number, slot):
            return None
        if self.random() < ALONE:
            return self._change(number, slot), (number, slot), None
        there = [n for n in self.on[slot] if not self.loads[n].fixed]
        other = there[int(self.random() * len(there))] if there else number
        if other == number or not self._allows(other, place):
            return None
        return self._exchange(number, other), (number, slot), (other, place)

    def _maybe(self, change: Change, heat: float) -> bool:
        growth, more = self._price(change)
        worse = growth * self.per_excess + more * self.per_cost
        if worse > 0 and self.random() >= exp(-worse / heat):
            return False
        self.excess += change[0]
        self.moved += more
        for number, slot in filter(None, change[1:]):
            self._relocate(number, slot)
        return True
