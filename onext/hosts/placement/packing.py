"""Find a final place on the kept hosts for all VMs of the others.

Vector best fit, largest first: the hosts are in a list sorted by the room that is left, and each load goes
to the fullest host that takes it with its CPU and memory left in balance. What finds no place tries to push
a newcomer to another host, and then to have some of a host's own VMs make way.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator

    from onext.hosts.placement.problem import Load, Problem

LOOKAHEAD = 12  # hosts with room that are compared before the best is taken
ROOMIEST = 40  # hosts where room is made for a load that found none
MOST_LEAVERS = 8  # VMs of one host that make way for one load


class Packing:
    """The kept hosts of a problem, the newcomers on each, and which of their own VMs make way for these.

    A host whose VMs make way (a giver) takes no VM that makes way elsewhere (as a taker does): so all
    of these may move first, in any order, and each finds its room.
    """

    def __init__(self, problem: Problem, kept: frozenset[int], balance: float) -> None:
        self.balance = balance
        self.per_cpu = 1 / (sum(slot.limit.cpu for slot in problem.slots) or 1)
        self.per_memory = 1 / (sum(slot.limit.memory for slot in problem.slots) or 1)
        self.slots = {slot.id: slot for slot in problem.slots}
        self.loads: dict[int, list[Load]] = {slot: [] for slot in self.slots}
        for load in problem.loads:
            self.loads[load.slot].append(load)
        self.cpu: dict[int, int] = {}
        self.memory: dict[int, int] = {}
        self.apart: dict[int, list[str]] = {}
        self.newcomers: dict[int, list[Load]] = {}
        self.stayers: dict[int, list[Load]] = {}
        self.target: dict[tuple[int, ...], int] = {}
        self.made_way: dict[int, list[tuple[Load, int]]] = {}
        self.takers: set[int] = set()
        self.order: list[tuple[float, int]] = []
        self.tries = 0
        for slot in sorted(kept):
            self._open(slot)

    def place(self, loads: Iterable[Load]) -> list[Load]:
        """Place the loads, the hardest first, and return those that found none."""
        order = sorted(loads, key=self._hardness, reverse=True)
        left = [load for load in order if not self._put(load)]
        hopeless: set[object] = set()  # room only shrinks: what failed once fails for its equals too
        return [load for load in left if not self._place_hard(load, hopeless)]

    def _place_hard(self, load: Load, hopeless: set[object]) -> bool:
        likeness = (load.size, load.hosts, load.apart)
        if likeness not in hopeless and not self._put(load) and not self._make_room(load):
            hopeless.add(likeness)
        return likeness not in hopeless

    def reopen(self, slot: int) -> None:
        """Keep one host more: its own loads come home from where they had been placed."""
        for load in self.loads[slot]:
            if load.vms in self.target:
                self._remove(self.target[load.vms], load)
        self._open(slot)

    def _open(self, slot: int) -> None:
        self.cpu[slot], self.memory[slot] = self.slots[slot].limit
        self.apart[slot] = []
        for load in self.loads[slot]:
            self._occupy(slot, load)
        self.stayers[slot] = [load for load in self.loads[slot] if not load.fixed]
        if self.slots[slot].accepts:
            self.newcomers[slot] = []
            insort(self.order, (self._room(slot), slot))

    def _hardness(self, load: Load) -> tuple[bool, float, int]:
        return load.hosts is not None, self._measure(load), -load.vms[0]

    def _measure(self, load: Load) -> float:
        return load.size.cpu * self.per_cpu + load.size.memory * self.per_memory

    def _room(self, slot: int) -> float:
        """Measure the room by whichever of CPU and memory is scarcer."""
        return min(self.cpu[slot] * self.per_cpu, self.memory[slot] * self.per_memory)

    def _occupy(self, slot: int, load: Load) -> None:
        self.cpu[slot] -= load.size.cpu
        self.memory[slot] -= load.size.memory
        self.apart[slot].extend(load.apart)

    def _free(self, slot: int, load: Load) -> None:
        self.cpu[slot] += load.size.cpu
        self.memory[slot] += load.size.memory
        for key in load.apart:
            self.apart[slot].remove(key)

    def _add(self, slot: int, load: Load) -> None:
        del self.order[bisect_left(self.order, (self._room(slot), slot))]
        self._occupy(slot, load)
        self.newcomers[slot].append(load)
        self.target[load.vms] = slot
        insort(self.order, (self._room(slot), slot))

    def _remove(self, slot: int, load: Load) -> None:
        del self.order[bisect_left(self.order, (self._room(slot), slot))]
        self._free(slot, load)
        self.newcomers[slot].remove(load)
        del self.target[load.vms]
        insort(self.order, (self._room(slot), slot))

    def _send_off(self, slot: int, load: Load) -> None:
        """Take one of the host's own VMs, placed elsewhere already, off its books."""
        del self.order[bisect_left(self.order, (self._room(slot), slot))]
        self._free(slot, load)
        self.stayers[slot].remove(load)
        insort(self.order, (self._room(slot), slot))

    def _may_stand(self, load: Load, slot: int) -> bool:
        allowed = load.hosts is None or slot in load.hosts
        return allowed and not (load.apart and load.apart.intersection(self.apart[slot]))

    def _put(self, load: Load, other_than: Collection[int] = ()) -> bool:
        slot = self._best(load, other_than)
        if slot is None:
            return False
        self._add(slot, load)
        return True

    def _best(self, load: Load, other_than: Collection[int]) -> int | None:
        """Return the host where the load leaves the least room, and that in balance."""
        self.tries += 1
        cpu, memory = load.size
        least = min(cpu * self.per_cpu, memory * self.per_memory) * (1 - 1e-9)
        best, best_score, seen = None, float("inf"), 0
        free = load.hosts is None and not load.apart
        for _, slot in self.order[bisect_left(self.order, (least, -1)) :]:
            more_cpu, more_memory = self.cpu[slot] - cpu, self.memory[slot] - memory
            if more_cpu < 0 or more_memory < 0 or slot in other_than:
                continue
            if not free and not self._may_stand(load, slot):
                continue
            left_cpu, left_memory = more_cpu * self.per_cpu, more_memory * self.per_memory
            score = left_cpu + left_memory + self.balance * abs(left_cpu - left_memory)
            if score < best_score:
                best, best_score = slot, score
            seen += 1
            if seen >= LOOKAHEAD:
                break
        return best

    def _make_room(self, load: Load) -> bool:
        """Make room where most is left already: newcomers go elsewhere, or own VMs make way."""
        roomiest = [slot for _, slot in reversed(self.order) if load.hosts is None or slot in load.hosts]
        roomiest = roomiest[:ROOMIEST]
        return any(self._push(load, slot) for slot in roomiest) or any(
            slot not in self.takers and self._make_way(load, slot) for slot in roomiest
        )

    def _push(self, load: Load, slot: int) -> bool:
        """Send smaller newcomers of this host to others."""
        for newcomers in self._leavers(load, slot, self.newcomers[slot]):
            homes = [(newcomer, self.target[newcomer.vms]) for newcomer in newcomers]
            for newcomer in newcomers:
                self._remove(slot, newcomer)
            self._add(slot, load)
            if all(self._put(newcomer, (slot,)) for newcomer in newcomers):
                return True
            self._remove(slot, load)
            for newcomer, home in homes:
                if newcomer.vms in self.target:
                    self._remove(self.target[newcomer.vms], newcomer)
                self._add(home, newcomer)
        return False

    def _make_way(self, load: Load, slot: int) -> bool:
        """Move a few of the host's own VMs to hosts that give none away."""
        avoid = {slot, *self.made_way}
        for leavers in self._leavers(load, slot, self.stayers[slot]):
            if not all(self._put(leaver, avoid) for leaver in leavers):
                for leaver in leavers:
                    if leaver.vms in self.target:
                        self._remove(self.target[leaver.vms], leaver)
                continue
            for leaver in leavers:
                self._send_off(slot, leaver)
                self.takers.add(self.target[leaver.vms])
                self.made_way.setdefault(slot, []).append((leaver, self.target[leaver.vms]))
            self._add(slot, load)
            return True
        return False

    def _leavers(self, load: Load, slot: int, vms: list[Load]) -> Iterator[list[Load]]:
        """Propose VMs without which the load has room: the smallest single one, or a few small ones."""
        limit = self._measure(load)
        smaller = sorted((g for g in vms if self._measure(g) < limit), key=self._measure)
        single = next((vm for vm in smaller if self._enough(load, slot, [vm])), None)
        if single:
            yield [single]
        for group in (smaller[::-1], smaller):
            for count in range(2, min(MOST_LEAVERS, len(group)) + 1):
                if self._enough(load, slot, group[:count]):
                    yield group[:count]
                    break

    def _enough(self, load: Load, slot: int, leavers: list[Load]) -> bool:
        """Return whether the load would fit here without these."""
        cpu = self.cpu[slot] + sum(leaver.size.cpu for leaver in leavers)
        memory = self.memory[slot] + sum(leaver.size.memory for leaver in leavers)
        if cpu < load.size.cpu or memory < load.size.memory:
            return False
        gone = [key for leaver in leavers for key in leaver.apart]
        return not any(self.apart[slot].count(key) > gone.count(key) for key in load.apart)
