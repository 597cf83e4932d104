"""The plan of a round. Pure.

The rule is CloudManager's: a host is loaded when the share of its memory (or CPU) that is used exceeds the
cluster's by more than APPROX, and takes VMs while it is below that. With a cluster at 0.40 and APPROX 0.1 a
host at 0.75 is loaded, and one at 0.06 takes VMs.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from hooks.balance.model import GIB, Limits, Move, Past, Plan, Situation
from onext.hosts.model import Cluster, Host, Kind, Vm
from onext.hosts.openings import Openings
from onext.hosts.placement.problem import ZERO, Size

HOUR = 3600.0
_NAMES = ("CPU", "memory")
_TARGETS = 8  # hosts that are tried for a VM, those with the most memory free


def decide(around: Situation, limits: Limits) -> Plan:
    """Return which VMs should move now."""
    load = Load(around)
    loaded = {host: around.past.loaded.get(host, 0) + 1 for host in load.loaded(limits.approx)}
    moved = {vm: at for vm, at in around.past.moved.items() if 0 <= around.now - at < limits.rest}
    past = Past(loaded, moved)
    if around.held:
        return Plan((), around.held, Past(moved=moved))
    if not loaded:
        return Plan((), "no host is loaded", past)
    due = [host for host, rounds in loaded.items() if rounds >= limits.rounds]
    if not due:
        most = max(loaded.values())
        return Plan((), f"loaded for {most} of {limits.rounds} rounds: {_list(loaded)}", past)
    left = limits.moves_per_hour - sum(around.now - at < HOUR for at in moved.values())
    if left <= 0:
        return Plan((), f"{limits.moves_per_hour} VMs were moved during the last hour", past)
    moves = tuple(_moves(around, limits, load, due, left, moved))
    return Plan(moves, "" if moves else f"no move is worth its cost: {_list(due)}", past)


def _list(hosts: Iterable[int]) -> str:
    return "hosts " + ", ".join(map(str, sorted(hosts)))


@dataclass
class Load:
    """The shares of each host's CPU and memory that are used, and the cluster's; moves are entered."""

    around: Situation
    used: dict[int, Size] = field(init=False)
    size: Mapping[int, Size] = field(init=False)
    average: tuple[float, float] = field(init=False)  # no move within the cluster changes it

    def __post_init__(self) -> None:
        hosts = [host for host in self.around.cluster.hosts if self._counts(host)]
        self.size = {host.id: host.size for host in hosts}
        self.used = {host.id: self.around.use.hosts[host.id] for host in hosts}
        used, size = sum(self.used.values(), ZERO), sum(self.size.values(), ZERO)
        self.average = (used.cpu / size.cpu, used.memory / size.memory) if hosts else (0.0, 0.0)

    def _counts(self, host: Host) -> bool:
        measured = host.id in self.around.use.hosts
        return host.takes_vms and measured and host.size.cpu > 0 and host.size.memory > 0

    def shares(self, host: int) -> tuple[float, float]:
        """Return the shares of CPU and memory that a host uses."""
        used, size = self.used[host], self.size[host]
        return used.cpu / size.cpu, used.memory / size.memory

    def excess(self, host: int) -> float:
        """Return by how much a host exceeds the cluster, in CPU or memory, whichever is more."""
        return max(mine - all_ for mine, all_ in zip(self.shares(host), self.average, strict=True))

    def loaded(self, approx: float) -> list[int]:
        """Return the hosts that exceed the cluster by more than this, the most loaded first."""
        found = [host for host in self.used if self.excess(host) > approx]
        return sorted(found, key=lambda host: (-self.excess(host), host))

    def reason(self, host: int) -> str:
        """Return what of a host exceeds the cluster."""
        mine, all_ = self.shares(host), self.average
        worst = max((0, 1), key=lambda part: mine[part] - all_[part])
        return (
            f"{_NAMES[worst]} of host {host} is used to {mine[worst]:.0%}, the cluster's to {all_[worst]:.0%}"
        )

    def move(self, use: Size, source: int, target: int) -> None:
        """Enter what a VM uses on its new host."""
        self.used[source] = self.used[source] - use
        self.used[target] = self.used[target] + use


def _moves(
    around: Situation, limits: Limits, load: Load, due: list[int], left: int, moved: Mapping[int, float]
) -> Iterator[Move]:
    openings = Openings(around.cluster)
    placed = around.cluster.by_host()
    done = set(moved)
    while left > 0:
        sources = [host for host in load.loaded(limits.approx) if host in due]
        found = next(
            (best for host in sources if (best := _best(around, limits, load, openings, placed[host], done))),
            None,
        )
        if found is None:
            return
        vm, target = found
        reason = load.reason(vm.host)
        load.move(around.use.vms[vm.id], vm.host, target)
        openings.move(vm, target)
        done.add(vm.id)
        left -= 1
        yield Move(vm.id, vm.name, vm.host, target, vm.size.memory / GIB, reason)


def _best(
    around: Situation, limits: Limits, load: Load, openings: Openings, vms: list[Vm], done: set[int]
) -> tuple[Vm, int] | None:
    """Return the move that lessens a host's load the most for each GiB, if one is worth its cost."""
    best, best_gain = None, limits.least_gain
    for vm in vms:
        if vm.kind is not Kind.RUNNING or vm.fixed or vm.together or vm.id in done:
            continue
        use = around.use.vms.get(vm.id)
        if use is None:
            continue
        before = load.excess(vm.host)
        targets = [h for h in openings.fitting(vm) if h in load.used and around.accepts(vm.id, h)]
        for target in targets[:_TARGETS]:
            load.move(use, vm.host, target)
            fine = load.excess(target) <= min(limits.approx, before)
            gain = (before - max(load.excess(vm.host), load.excess(target))) / max(vm.size.memory / GIB, 0.25)
            load.move(use, target, vm.host)
            if fine and gain > best_gain:
                best, best_gain = (vm, target), gain
    return best


def spread(cluster: Cluster, use: Mapping[int, Size]) -> float:
    """Return how far the fullest host's memory is above the cluster's, as a share."""
    hosts = [host for host in cluster.hosts if host.id in use and host.size.memory]
    if not hosts:
        return 0.0
    average = sum(use[host.id].memory for host in hosts) / sum(host.size.memory for host in hosts)
    return max(use[host.id].memory / host.size.memory for host in hosts) - average
