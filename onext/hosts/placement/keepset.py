"""Choose the hosts to keep: the fewest idle watts that cover the demand, and most of their VMs stay.

It counts CPU and memory of the whole set only; whether every VM finds a place is decided in packing.py.
Hosts of equal size and watts form a kind, and within a kind the ones with the most to move are kept.
"""

from __future__ import annotations

import math
from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from onext.hosts.placement.problem import ZERO, Size

if TYPE_CHECKING:
    from collections.abc import Iterator

    from onext.hosts.placement.problem import Problem, Slot

MIXES = (0.5, 0.0, 0.25, 0.75, 1.0)  # how much CPU counts against memory when kinds are ranked
CANDIDATES = 32  # kinds tried on each side of an exchange


@dataclass
class Kind:
    """Hosts that differ only in their VMs; the first `taken` of them are kept."""

    size: Size
    watts: float
    slots: list[int]
    stays: list[float]
    taken: int = 0

    @property
    def next_stay(self) -> float:
        """Return what would stay in place if one more were kept."""
        return self.stays[self.taken]

    @property
    def last_stay(self) -> float:
        """Return what would have to move if one fewer were kept."""
        return self.stays[self.taken - 1]

    def chosen(self, fresh: float) -> list[int]:
        """Return the hosts to keep, a fraction of them from the other end."""
        count = math.ceil(self.taken * fresh)
        return self.slots[: self.taken - count] + self.slots[len(self.slots) - count :]


@dataclass
class Cover:
    """A choice in the making: how much room there is beyond the need (negative: still missing)."""

    kinds: list[Kind]
    excess: Size
    watts: float = field(default=0.0)

    def take(self, kind: Kind, count: int = 1) -> None:
        """Keep so many more hosts of this kind (fewer, when negative)."""
        kind.taken += count
        self.excess = self.excess + Size(count * kind.size.cpu, count * kind.size.memory)
        self.watts += count * kind.watts

    @property
    def covered(self) -> bool:
        """Return whether nothing is missing."""
        return self.excess.cpu >= 0 and self.excess.memory >= 0

    def spares(self, kind: Kind) -> bool:
        """Return whether the need is covered without one host of this kind."""
        return kind.taken > 0 and kind.size.fits(self.excess)


class Chooser:
    """Chooses keep-sets of one problem for rising demands."""

    def __init__(self, problem: Problem) -> None:
        self.reserve = problem.reserve
        self.demand = sum((load.size for load in problem.loads), ZERO) + problem.reserve.size
        self.slots = {slot.id: slot for slot in problem.slots}
        fixed = {load.slot for load in problem.loads if load.fixed}
        self.forced = frozenset(s.id for s in problem.slots if s.keep or s.id in fixed or not s.accepts)
        self.stay: dict[int, float] = defaultdict(float)
        self.used: dict[int, float] = defaultdict(float)
        for load in problem.loads:
            self.stay[load.slot] += load.cost
            self.used[load.slot] += load.size.cpu / max(1, self.demand.cpu)
            self.used[load.slot] += load.size.memory / max(1, self.demand.memory)
        self.usable = [slot for slot in problem.slots if slot.id not in self.forced]
        closed = {slot.id for slot in problem.slots if not slot.accepts}
        self.given = sum((self.slots[slot].limit for slot in self.forced - closed), ZERO)
        self.given = sum((load.size for load in problem.loads if load.slot in closed), self.given)
        self.taking = len(self.forced - closed)

    def choose(self, slack: float, fresh: float) -> frozenset[int]:
        """Return the hosts to keep when the demand is raised by a fraction `slack`.

        Of each kind a fraction `fresh` are those with the least on them instead of the most: more has to
        move, but there is room in one piece for large VMs. Where even all hosts do not cover the demand,
        all are kept.
        """
        spare = self._largest(self.forced)
        while True:
            kept = self._choose(slack, fresh, spare)
            larger = self._largest(kept)
            if not self.reserve.spare_host or larger.fits(spare):
                return kept
            spare = Size(max(spare.cpu, larger.cpu), max(spare.memory, larger.memory))

    def covers(self, kept: frozenset[int]) -> bool:
        """Return whether these hosts hold the demand and the reserve, summed up."""
        given = sum((self.slots[slot].limit for slot in kept - self.forced), self.given)
        spare = self._largest(kept) if self.reserve.spare_host else ZERO
        return (self.demand + spare).fits(given)

    def room(self, slot: int) -> float:
        """Measure the room that a host would bring beyond that of its VMs."""
        limit = self.slots[slot].limit
        share = limit.cpu / max(1, self.demand.cpu) + limit.memory / max(1, self.demand.memory)
        return share - self.used[slot]

    def _largest(self, slots: frozenset[int]) -> Size:
        sizes = [self.slots[slot].size for slot in slots] or [ZERO]
        return Size(max(size.cpu for size in sizes), max(size.memory for size in sizes))

    def _choose(self, slack: float, fresh: float, spare: Size) -> frozenset[int]:
        need = Size(int(self.demand.cpu * (1 + slack)), int(self.demand.memory * (1 + slack)))
        if self.reserve.spare_host:
            need = need + spare
        best: Cover | None = None
        for mix in MIXES:
            cover = Cover(self._kinds(), self.given - need)
            _fill(cover, need, mix)
            _exchange(cover)
            if best is None or cover.watts < best.watts:
                best = cover
            if len(cover.kinds) == 1:
                break
        assert best is not None
        self._fill_up(best)
        return self.forced.union(*(kind.chosen(fresh) for kind in best.kinds))

    def _kinds(self) -> list[Kind]:
        groups: dict[tuple[Size, float], list[Slot]] = defaultdict(list)
        for slot in self.usable:
            groups[slot.limit, slot.watts].append(slot)
        return [self._kind(size, watts, slots) for (size, watts), slots in groups.items()]

    def _kind(self, size: Size, watts: float, slots: list[Slot]) -> Kind:
        stays = {slot.id: -1.0 if slot.eager else self.stay[slot.id] for slot in slots}
        order = sorted(stays, key=lambda slot: (-stays[slot], -self.slots[slot].turns, slot))
        return Kind(size, watts, order, [stays[slot] for slot in order])

    def _fill_up(self, cover: Cover) -> None:
        """Keep more hosts until there are as many as the policy wants."""
        count = self.taking + sum(kind.taken for kind in cover.kinds)
        while count < self.reserve.min_slots:
            left = [kind for kind in cover.kinds if kind.taken < len(kind.slots)]
            if not left:
                return
            cover.take(min(left, key=lambda kind: (kind.watts, -kind.next_stay)))
            count += 1


def _fill(cover: Cover, need: Size, mix: float) -> None:
    """Take the kinds with the fewest watts for their share of the need, then drop what is too much."""

    def watts_per_share(kind: Kind) -> float:
        share = mix * kind.size.cpu / max(1, need.cpu) + (1 - mix) * kind.size.memory / max(1, need.memory)
        return kind.watts / share if share > 0 else float("inf")

    order = sorted(cover.kinds, key=watts_per_share)
    for kind in order:
        while not cover.covered and kind.taken < len(kind.slots):
            cover.take(kind)
    for kind in reversed(order):
        while cover.spares(kind):
            cover.take(kind, -1)


def _exchange(cover: Cover) -> None:
    """Exchange single hosts while that saves watts, or at equal watts leaves more in its place."""
    limit = 2 * sum(len(kind.slots) for kind in cover.kinds)
    for _ in range(limit):
        best = min(_exchanges(cover), default=None, key=lambda swap: swap[:2])
        if best is None:
            return
        _, _, leaves, comes = best
        cover.take(leaves, -1)
        cover.take(comes)


def _exchanges(cover: Cover) -> Iterator[tuple[float, float, Kind, Kind]]:
    """List the exchanges that help, as (watts, what stays less, who leaves, who comes)."""
    leaving = sorted((k for k in cover.kinds if k.taken), key=lambda k: k.last_stay)[:CANDIDATES]
    coming = [k for k in cover.kinds if k.taken < len(k.slots)]
    for comes in sorted(coming, key=lambda k: -k.next_stay)[:CANDIDATES]:
        for leaves in leaving:
            room = cover.excess + comes.size
            watts = comes.watts - leaves.watts
            stay = leaves.last_stay - comes.next_stay
            if leaves is not comes and leaves.size.fits(room) and (watts, stay) < (0, 0):
                yield watts, stay, leaves, comes
