"""What balancing goes by: what the hosts and VMs of a cluster use, and the limits that a person set.

Use is measured, not reserved: CPU in hundredths of a core, memory in MiB. Where OpenNebula forecasts a higher
use for the next hours, that counts.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from onext.hosts.model import Cluster
from onext.hosts.placement.problem import Size

GIB = 1024  # MiB


@dataclass(frozen=True, slots=True)
class Use:
    """What a cluster's hosts and VMs use, by id; a host or VM that is missing was not measured."""

    hosts: Mapping[int, Size]
    vms: Mapping[int, Size]


@dataclass(frozen=True, slots=True)
class Limits:
    """How eager balancing is.

    A host is loaded when the share of its memory or CPU that is used exceeds the cluster's by more than
    `approx`. It moves VMs only after `rounds` rounds in a row. `least_gain` is how much a move must lessen
    the load of the host, as a share, for each GiB moved.
    """

    approx: float = 0.1
    rounds: int = 3
    least_gain: float = 0.001
    moves_per_hour: int = 10
    rest: float = 3600.0  # seconds in which a VM is moved once


@dataclass(frozen=True, slots=True)
class Past:
    """What is remembered: for how many rounds each host has been loaded, and when VMs were moved."""

    loaded: Mapping[int, int] = field(default_factory=dict)
    moved: Mapping[int, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Move:
    """A VM that should go to another host, with the reason."""

    vm: int
    name: str
    source: int
    target: int
    gib: float
    reason: str


@dataclass(frozen=True, slots=True)
class Plan:
    """The moves of a round, why there are none (empty: there are), and what is remembered for the next."""

    moves: tuple[Move, ...]
    held: str
    past: Past


@dataclass(frozen=True, slots=True)
class Situation:
    """All input of a decision. `proposed` is OneDRS's plan: with one, only its moves are made."""

    cluster: Cluster
    use: Use
    past: Past
    now: float
    held: str = ""  # why nothing may move: OneDRS, power, quiet hours
    proposed: Mapping[int, int] | None = None  # target by VM

    def accepts(self, vm: int, target: int) -> bool:
        """Return whether a move may be made as far as OneDRS's plan goes."""
        return self.proposed is None or self.proposed.get(vm) == target
