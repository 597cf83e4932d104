"""Search for the plan: choose a keep-set, pack, and ask for a little more room until everything fits."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from itertools import product
from typing import TYPE_CHECKING

from onext.hosts.placement.anneal import Annealing
from onext.hosts.placement.keepset import Chooser
from onext.hosts.placement.packing import Packing
from onext.hosts.placement.problem import Drain, Load, Move, Plan

if TYPE_CHECKING:
    from collections.abc import Iterator

    from onext.hosts.placement.problem import Problem

SLACKS = (0.0, 0.005, 0.01, 0.02, 0.03, 0.05, 0.1)
STYLES = ((0.1, 1.0), (0.0, 3.0), (0.25, 0.3), (0.5, 1.0), (1.0, 1.0))  # (fresh, balance)
ATTEMPTS = [(slack, 0.0, 1.0) for slack in SLACKS]
ATTEMPTS[1:1] = [(0.0, 0.1, 1.0)]
ATTEMPTS += [(slack, fresh, balance) for fresh, balance in STYLES for slack in SLACKS]
ANY = -1  # the key of what must move first, whichever host is emptied
TIGHT = (0.0, 0.01, 0.02, 0.03, 0.045, 0.06)  # slacks at which that is done
FRESH = (0.0, 0.1, 0.25, 0.5)
TRIES = 3  # keep-sets of the same watts
ANNEALS = 2 * TRIES  # in all, the last TRIES of them for keep-sets on which squeezing found room already
SMALL = 300  # loads up to which the tightest keep-sets are searched harder
LEAST_EFFORT = 2_000  # places looked for in all attempts together: bounds the time, and the same everywhere
EFFORT_PER_LOAD = 3


class Draft:
    """A keep-set with a place for every load that had to leave: complete, but perhaps not the best."""

    def __init__(
        self,
        problem: Problem,
        kept: frozenset[int],
        targets: dict[tuple[int, ...], int],
        made_way: dict[int, list[tuple[Load, int]]],
    ) -> None:
        self.kept = kept
        self.targets = targets
        self.made_way = _needed(made_way, targets)
        self.watts = sum(slot.watts for slot in problem.slots if slot.id in kept)
        self.cost = sum(load.cost for load in problem.loads if load.slot not in kept)
        self.cost += sum(load.cost for moves in self.made_way.values() for load, _ in moves)

    @property
    def rank(self) -> tuple[float, float]:
        """Return what is minimised: idle watts, then the cost of the moves."""
        return self.watts, self.cost


def _needed(
    made_way: dict[int, list[tuple[Load, int]]], targets: dict[tuple[int, ...], int]
) -> dict[int, list[tuple[Load, int]]]:
    """Keep what makes way for something; for the buffer alone it goes first: no drain leads there."""
    led_to = {target for vms, target in targets.items() if vms[0] >= 0}
    needed: dict[int, list[tuple[Load, int]]] = {}
    for slot, moves in made_way.items():
        if slot in led_to or slot in targets.values():
            needed.setdefault(slot if slot in led_to else ANY, []).extend(moves)
        elif slot == ANY:
            needed.setdefault(ANY, []).extend(moves)
    return needed


def make_plan(problem: Problem) -> Plan:
    """Return the best plan found; the empty plan where nothing can be switched off."""
    return _in_order(problem, _Search(problem).best())


class _Search:
    def __init__(self, problem: Problem) -> None:
        self.problem = problem
        self.chooser = Chooser(problem)
        self.everything = frozenset(slot.id for slot in problem.slots)
        self.effort = max(LEAST_EFFORT, EFFORT_PER_LOAD * len(problem.loads))
        self.anneals = ANNEALS
        self.buffer = list(_buffer(problem))

    def best(self) -> Draft:
        """Try keep-sets until one needs no more watts than the tightest, or the effort is spent."""
        best = Draft(self.problem, self.everything, {}, {})
        bound = self._watts(self.chooser.choose(0.0, 0.0))
        for slack, fresh, balance in ATTEMPTS:
            draft = self._attempt(slack, fresh, balance)
            best = min(best, draft, key=lambda d: d.rank) if draft else best
            if self.effort < 0 or best.watts <= bound:
                break
        if best.watts > bound and len(self.problem.loads) <= SMALL:
            best = min([best, *self._squeezed(best)], key=lambda d: d.rank)
        return best

    def _squeezed(self, best: Draft) -> Iterator[Draft]:
        """Search harder for less than this draft: small clusters feel each host."""
        whole = replace(self.problem, loads=(*self.problem.loads, *self.buffer))
        tries: Counter[float] = Counter()
        for kept in self._tightest():
            bound = self._watts(kept), self._leaving(kept)
            tries[bound[0]] += 1
            if bound < best.rank and tries[bound[0]] <= TRIES and (draft := self._squeeze(whole, kept)):
                best = min(best, draft, key=lambda d: d.rank)
                yield draft

    def _tightest(self) -> list[frozenset[int]]:
        """Return small keep-sets and their neighbours, those first on which the most stays in its place."""
        chosen = {self.chooser.choose(slack, fresh) for slack, fresh in product(TIGHT, FRESH)}
        near = {
            kept - {leaves} | {comes}
            for kept in chosen
            for leaves, comes in product(kept - self.chooser.forced, self.everything - kept)
        }
        found = chosen | {kept for kept in near if self.chooser.covers(kept)}
        return sorted(found, key=lambda kept: (self._watts(kept), self._leaving(kept), sorted(kept)))

    def _leaving(self, kept: frozenset[int]) -> float:
        """Return the cost of what has to move at least."""
        return sum(load.cost for load in self.problem.loads if load.slot not in kept)

    def _squeeze(self, whole: Problem, kept: frozenset[int]) -> Draft | None:
        packing = Packing(self.problem, kept, 1.0)
        packing.place([load for load in self.problem.loads if load.slot not in kept])
        if not packing.newcomers:
            return None
        squeeze = Annealing(whole, kept, packing.target)
        solved = squeeze.solve_alone() or squeeze.solve()
        if self.anneals <= (0 if solved else TRIES):
            return None
        self.anneals -= 1
        squeeze.go_home()
        if not squeeze.anneal():
            return None
        return Draft(self.problem, kept, squeeze.targets(), {ANY: squeeze.shifts()[0]})

    def _watts(self, kept: frozenset[int]) -> float:
        return sum(slot.watts for slot in self.problem.slots if slot.id in kept)

    def _attempt(self, slack: float, fresh: float, balance: float) -> Draft | None:
        """Pack one keep-set, reopening hosts until everything has its place."""
        kept = self.chooser.choose(slack, fresh)
        packing = Packing(self.problem, kept, balance)
        left = [load for load in self.problem.loads if load.slot not in kept] + self.buffer
        closed = sorted(self.everything - kept, key=self._worth)
        while (left := packing.place(left)) and closed:
            slot = closed.pop()
            packing.reopen(slot)
            left = [load for load in left if load.slot != slot]
        self.effort -= packing.tries
        if left:
            return None
        return Draft(self.problem, self.everything - frozenset(closed), packing.target, packing.made_way)

    def _worth(self, slot: int) -> float:
        """Rank a closed host by the room it would bring for its watts."""
        return self.chooser.room(slot) / (self.chooser.slots[slot].watts or 1)


def _buffer(problem: Problem) -> Iterator[Load]:
    """Turn the room that must stay free into loads that come from nowhere."""
    number = -1
    for count, size, hosts in problem.reserve.buffer:
        for _ in range(count):
            yield Load((number,), -1, size, 0.0, hosts=hosts)
            number -= 1


def _in_order(problem: Problem, draft: Draft) -> Plan:
    """Turn a draft into drains, the most watts per cost first, empty hosts before all."""
    moves: dict[int, list[Move]] = {slot.id: [] for slot in problem.slots if slot.id not in draft.kept}
    for load in problem.loads:
        if load.slot in moves:
            moves[load.slot].append(Move(load.vms, load.slot, draft.targets[load.vms], load.cost))
    drains = [Drain(slot.id, slot.watts, tuple(moves[slot.id])) for slot in problem.slots if slot.id in moves]
    drains.sort(key=lambda drain: (drain.cost / drain.watts if drain.watts else drain.cost, drain.slot))
    return Plan(tuple(_with_way_made(drains, draft.made_way)), draft.kept)


def _with_way_made(drains: list[Drain], made_way: dict[int, list[tuple[Load, int]]]) -> Iterator[Drain]:
    """Put the VMs that make way before the first drain that needs their room."""
    waiting = dict(made_way)
    for drain in drains:
        before: list[Move] = []
        for target in dict.fromkeys([ANY, *(move.target for move in drain.moves)]):
            before += [Move(load.vms, load.slot, place, load.cost) for load, place in waiting.pop(target, ())]
        yield Drain(drain.slot, drain.watts, (*before, *drain.moves)) if before else drain
