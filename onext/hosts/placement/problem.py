"""What the planner is asked and what it answers, as plain values.

CPU is counted in hundredths of a core and memory in MiB, but any whole numbers will do.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple


class Size(NamedTuple):
    """An amount of CPU (hundredths of a core) and memory (MiB)."""

    cpu: int
    memory: int

    def __add__(self, other: object) -> Size:
        """Add component by component (not as tuples do)."""
        if not isinstance(other, Size):
            return NotImplemented
        return Size(self.cpu + other.cpu, self.memory + other.memory)

    def __sub__(self, other: Size) -> Size:
        """Subtract component by component."""
        return Size(self.cpu - other.cpu, self.memory - other.memory)

    def fits(self, room: Size) -> bool:
        """Return whether this much fits into that room."""
        return self.cpu <= room.cpu and self.memory <= room.memory

    def times_in(self, room: Size) -> int:
        """Count how many of this size fit into that room side by side."""
        counts = [have // want for have, want in zip(room, self, strict=True) if want > 0]
        return max(0, min(counts, default=0))


ZERO = Size(0, 0)


@dataclass(frozen=True, slots=True)
class Slot:
    """A host that is on: its whole `size`, the `limit` up to which the planner fills it, its idle watts.

    `keep`: may not be emptied. `accepts`: VMs may be moved to it; where not, it is kept as it is.
    `eager`: being emptied already, so it goes first where the watts allow it.
    """

    id: int
    size: Size
    limit: Size
    watts: float
    keep: bool = False
    accepts: bool = True
    eager: bool = False
    turns: int = 0  # times it was off lately: who had fewer goes first


@dataclass(frozen=True, slots=True)
class Load:
    """VMs that are placed and moved as one (most often a single one).

    `cost` is what moving them costs, in GB of memory unless a test counts VMs. `hosts` are the slots on which
    they may be placed (None: all). Loads that share a key in `apart` never share a slot.
    """

    vms: tuple[int, ...]
    slot: int
    size: Size
    cost: float
    fixed: bool = False
    hosts: frozenset[int] | None = None
    apart: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Reserve:
    """What must be free on the kept hosts when the plan is done.

    `buffer`: so many times a size on hosts of a set (None: any). `free`: more than that, summed up over the
    hosts. `spare_host`: the loss of the largest
    kept host can be borne by the others, summed up. `min_slots`: so many hosts that take VMs stay on.
    """

    buffer: tuple[tuple[int, Size, frozenset[int] | None], ...] = ()
    free: Size = ZERO
    spare_host: bool = False
    min_slots: int = 0

    @property
    def size(self) -> Size:
        """Return all of it summed up, without the spare host."""
        return sum((Size(n * size.cpu, n * size.memory) for n, size, _ in self.buffer), self.free)


@dataclass(frozen=True, slots=True)
class Problem:
    """A cluster's hosts that are on, all their loads, and what must stay free."""

    slots: tuple[Slot, ...]
    loads: tuple[Load, ...]
    reserve: Reserve = Reserve()


class Move(NamedTuple):
    """One load goes from a slot to its final place; `vms` move one after the other."""

    vms: tuple[int, ...]
    source: int
    target: int
    cost: float


@dataclass(frozen=True, slots=True)
class Drain:
    """A host that becomes empty by these moves (none when it is empty already)."""

    slot: int
    watts: float
    moves: tuple[Move, ...]

    @property
    def cost(self) -> float:
        """Sum up what the moves cost."""
        return sum(move.cost for move in self.moves)


@dataclass(frozen=True, slots=True)
class Plan:
    """Hosts to empty, best watts per cost first. Every prefix of all their moves is safe.

    Moves lead only to hosts that stay. Where VMs of such a host make way for others, they go first, to
    hosts of which nothing moves away. So room for each move is there however far the plan was carried out.
    """

    drains: tuple[Drain, ...]
    kept: frozenset[int]

    @property
    def moves(self) -> tuple[Move, ...]:
        """Return all moves in order."""
        return tuple(move for drain in self.drains for move in drain.moves)

    @property
    def watts_saved(self) -> float:
        """Sum up the idle watts of the hosts that leave."""
        return sum(drain.watts for drain in self.drains)


def lower_bound(problem: Problem) -> int:
    """Count the hosts that no plan can do without.

    Those that must be kept, plus the fewest largest others that cover the rest in CPU and in memory.
    """
    bound = 0
    forced = {load.slot for load in problem.loads if load.fixed}
    forced |= {slot.id for slot in problem.slots if slot.keep}
    for part in (0, 1):
        rest = sum(load.size[part] for load in problem.loads) + problem.reserve.size[part]
        rest -= sum(slot.limit[part] for slot in problem.slots if slot.id in forced)
        others = sorted((slot.limit[part] for slot in problem.slots if slot.id not in forced), reverse=True)
        count = 0
        while rest > 0 and count < len(others):
            rest -= others[count]
            count += 1
        bound = max(bound, len(forced) + count)
    return bound
