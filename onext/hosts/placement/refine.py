"""Squeeze a small cluster onto a keep-set on which packing alone found no room for everything.

A tabu search over single relocations and exchanges that drives the overload of the hosts to nothing. It may
move VMs between kept hosts too: anneal.py makes these few, and such that each finds room in its turn.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from onext.hosts.placement.problem import Load, Problem

Step = tuple[int, int]  # a load's number, and the host to which it goes
Change = tuple[float, Step, Step | None]  # the growth of the overload, who relocates, and who in exchange
STEPS = 200
FOR_GOOD = 10**9
TENURE = 12  # steps for which a VM that moved stays where it is


class Squeeze:
    """An assignment of all loads to the kept hosts, and how far these are overloaded."""

    def __init__(self, problem: Problem, kept: frozenset[int], targets: dict[tuple[int, ...], int]) -> None:
        self.loads = problem.loads
        self.limit = {slot.id: slot.limit for slot in problem.slots if slot.id in kept}
        self.open = [slot.id for slot in problem.slots if slot.id in kept and slot.accepts]
        self.scale = (
            1 / (sum(slot.limit.cpu for slot in problem.slots) or 1),
            1 / (sum(slot.limit.memory for slot in problem.slots) or 1),
        )
        self.used = {slot: [0, 0] for slot in self.limit}
        self.apart: dict[int, list[str]] = {slot: [] for slot in self.limit}
        self.on: dict[int, set[int]] = {slot: set() for slot in self.limit}
        self.place: list[int] = []
        self.number = {load.vms: number for number, load in enumerate(self.loads)}
        self.resting = [0] * len(self.loads)
        self.hopeless = False
        for number, load in enumerate(self.loads):
            slot = targets.get(load.vms, load.slot)
            slot = slot if slot in kept else self._emptiest(load)
            self.place.append(slot)
            self._enter(number, slot)

    def solve(self) -> bool:
        """Search until no host is overloaded; return whether that was reached."""
        for step in range(1, 1 if self.hopeless else STEPS + 1):
            worst = max(self.open, key=lambda slot: (self._trouble(slot), slot))
            if self._trouble(worst) <= 0:
                return True
            best = min(self._changes(worst, step), default=None, key=self._price)
            if best is None:
                continue  # all that could leave has just come: a few steps later it may
            for number, slot in filter(None, best[1:]):
                self._relocate(number, slot)
                self.resting[number] = step + TENURE
        return False

    def solve_alone(self) -> bool:
        """Search with the kept hosts' own VMs where they are: nothing more than must would move."""
        before = list(self.place)
        for number, load in enumerate(self.loads):
            if load.slot == self.place[number]:
                self.resting[number] = FOR_GOOD
        if self.solve():
            return True
        self.resting = [0] * len(self.loads)
        self._restore(before)
        return False

    def go_home(self) -> None:
        """Undo what turned out not to be needed."""
        for number, load in enumerate(self.loads):
            home = load.slot
            if home in self.limit and self.place[number] != home and self._change(number, home) <= 0:
                self._relocate(number, home)

    def _restore(self, place: list[int]) -> None:
        for number, slot in enumerate(place):
            if self.place[number] != slot:
                self._relocate(number, slot)

    def _away(self) -> list[int]:
        """Return the kept hosts' own VMs that move."""
        return [n for n, one in enumerate(self.loads) if one.slot in self.limit and self.place[n] != one.slot]

    def _cost(self) -> float:
        return sum(self.loads[number].cost for number in self._away())

    def targets(self) -> dict[tuple[int, ...], int]:
        """Return the final slot of each load."""
        return {load.vms: slot for load, slot in zip(self.loads, self.place, strict=True)}

    def shifts(self) -> tuple[list[tuple[Load, int]], list[tuple[Load, int]]]:
        """Return the moves between kept hosts in an order in which each has room, and those stuck."""
        room = {slot: list(self.limit[slot]) for slot in self.limit}
        apart: dict[int, list[str]] = {slot: [] for slot in self.limit}
        for load in self.loads:
            if load.slot in room:
                room[load.slot][0] -= load.size.cpu
                room[load.slot][1] -= load.size.memory
                apart[load.slot] += load.apart
        waiting = [(self.loads[number], self.place[number]) for number in self._away()]
        order = []
        while now := next((w for w in waiting if _has_room(*w, room, apart)), None):
            waiting.remove(now)
            order.append(now)
            load, target = now
            for slot, sign in ((load.slot, 1), (target, -1)):
                room[slot][0] += sign * load.size.cpu
                room[slot][1] += sign * load.size.memory
            apart[load.slot] = [key for key in apart[load.slot] if key not in load.apart]
            apart[target] += load.apart
        return order, waiting

    def _emptiest(self, load: Load) -> int:
        allowed = [s for s in self.open if load.hosts is None or s in load.hosts]
        self.hopeless |= not allowed
        return min(allowed or self.open, key=lambda slot: (self._overload(slot, *load.size), slot))

    def _overload(self, slot: int, cpu: int = 0, memory: int = 0) -> float:
        """Measure what is too much on a host, or would be with so much more."""
        used, limit = self.used[slot], self.limit[slot]
        over_cpu = (used[0] + cpu - limit.cpu) * self.scale[0]
        over_memory = (used[1] + memory - limit.memory) * self.scale[1]
        return (over_cpu if over_cpu > 0 else 0.0) + (over_memory if over_memory > 0 else 0.0)

    def _trouble(self, slot: int) -> float:
        return self._overload(slot) + len(self.apart[slot]) - len(set(self.apart[slot]))

    def _meets(self, load: Load, slot: int) -> int:
        """Count the groups of which a load would meet, or meets beside itself, a member on a host."""
        own = 1 if slot == self.place[self.number[load.vms]] else 0
        return sum(self.apart[slot].count(key) > own for key in load.apart)

    def _enter(self, number: int, slot: int) -> None:
        load = self.loads[number]
        self.used[slot][0] += load.size.cpu
        self.used[slot][1] += load.size.memory
        self.apart[slot] += load.apart
        self.on[slot].add(number)

    def _leave(self, number: int, slot: int) -> None:
        load = self.loads[number]
        self.used[slot][0] -= load.size.cpu
        self.used[slot][1] -= load.size.memory
        for key in load.apart:
            self.apart[slot].remove(key)
        self.on[slot].discard(number)

    def _relocate(self, number: int, slot: int) -> None:
        self._leave(number, self.place[number])
        self._enter(number, slot)
        self.place[number] = slot

    def _change(self, number: int, slot: int) -> float:
        """Return by how much the overload of both hosts grows when a load relocates."""
        load, home = self.loads[number], self.place[number]
        cpu, memory = load.size
        growth = self._overload(slot, cpu, memory) - self._overload(slot)
        growth += self._overload(home, -cpu, -memory) - self._overload(home)
        return growth + self._meets(load, slot) - self._meets(load, home) if load.apart else growth

    def _exchange(self, number: int, other: int) -> float:
        """Return by how much the overload of both hosts grows when two loads change places."""
        one, two = self.loads[number], self.loads[other]
        home, away = self.place[number], self.place[other]
        cpu, memory = two.size.cpu - one.size.cpu, two.size.memory - one.size.memory
        growth = self._overload(home, cpu, memory) - self._overload(home)
        growth += self._overload(away, -cpu, -memory) - self._overload(away)
        if one.apart or two.apart:
            growth += self._meets(one, away) - self._meets(one, home)
            growth += self._meets(two, home) - self._meets(two, away)
        return growth

    def _price(self, change: Change) -> tuple[float, float]:
        """Rank a change by the overload, and among equals by what more has to move."""
        growth, *steps = change
        more = 0.0
        for number, slot in filter(None, steps):
            load = self.loads[number]
            more += load.cost * ((self.place[number] == load.slot) - (slot == load.slot))
        return round(growth, 9), more

    def _changes(self, slot: int, step: int) -> Iterator[Change]:
        """List relocations from a host and exchanges with others, with the growth of the overload."""
        for number in self._likes(slot, step):
            for target in self.open:
                if target == slot or not self._allows(number, target):
                    continue
                yield self._change(number, target), (number, target), None
                for other in self._likes(target, step):
                    if self.loads[other].size != self.loads[number].size and self._allows(other, slot):
                        yield self._exchange(number, other), (number, target), (other, slot)

    def _likes(self, slot: int, step: int) -> list[int]:
        """Return one load of each size and group that may leave a host now."""
        likes = {}
        for number in sorted(self.on[slot], reverse=True):
            load = self.loads[number]
            if not load.fixed and self.resting[number] <= step:
                likes[load.size, load.apart, load.hosts, load.slot == slot] = number
        return list(likes.values())

    def _allows(self, number: int, slot: int) -> bool:
        hosts = self.loads[number].hosts
        return hosts is None or slot in hosts


def _has_room(load: Load, target: int, room: dict[int, list[int]], apart: dict[int, list[str]]) -> bool:
    fits = load.size.cpu <= room[target][0] and load.size.memory <= room[target][1]
    return fits and not load.apart.intersection(apart[target])
