"""Where VMs of a dead host may start: room, requirements, VM groups; the most important VM first."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice

from onext.cloud.model import Host, Vm
from onext.cloud.snapshot import Cloud
from onext.hosts.inventory.cluster import attributes
from onext.hosts.inventory.cpu_models import CpuModels, evc_mode
from onext.hosts.inventory.groups import Ties
from onext.hosts.inventory.requirements import Unreadable
from onext.hosts.inventory.vms import Places as Required
from onext.hosts.placement.problem import Size
from onext.oned.objects import HostState

_OPEN = (HostState.MONITORED, HostState.MONITORING_MONITORED)
_KIB = 1024


def room(host: Host) -> Size:
    """Return what is free on a host, after what its VMs reserve."""
    return Size(host.max_cpu - host.cpu_usage, (host.max_memory - host.memory_usage) // _KIB)


@dataclass
class Places:
    """The hosts of one cluster that may take VMs, with the room that is left on each.

    `_order` has them by free memory, most first, so that the best host is nearly always among the first.
    """

    cloud: Cloud
    cluster: int
    closed: Collection[int] = ()  # hosts that take nothing: failed, claimed, in maintenance
    ties: Ties = field(default_factory=Ties)
    _room: dict[int, Size] = field(default_factory=dict)
    _all: frozenset[int] = frozenset()
    _order: list[tuple[int, int]] = field(default_factory=list)
    _apart: dict[int, set[str]] = field(default_factory=dict)
    _required: Required = field(default_factory=lambda: Required({}))
    _models: CpuModels = field(default_factory=lambda: CpuModels({}))

    def __post_init__(self) -> None:
        for host in self.cloud.hosts.values():
            usable = host.cluster_id == self.cluster and host.state in _OPEN and not host.problem
            if usable and host.id not in self.closed:
                self._room[host.id] = room(host)
                placed = self.cloud.vms_by_host.get(host.id, ())
                self._apart[host.id] = {key for vm in placed for key in self.ties.apart.get(vm.id, ())}
        cluster = self.cloud.clusters.get(self.cluster)
        listed = {host: attributes(self.cloud.hosts[host]) for host in self._room}
        self._required = Required(listed)
        self._models = CpuModels(listed, evc_mode(cluster.template) if cluster else "")
        self._all = frozenset(self._room)
        self._order = sorted((-size.memory, host) for host, size in self._room.items())

    def place(
        self,
        vms: Sequence[int],
        tried: Mapping[int, frozenset[int]],
        *,
        lost: Collection[int] = (),
        start: int = 0,
    ) -> Mapping[int, int]:
        """Return a host for each VM that fits somewhere, the first VM first, and none on `lost` hosts.

        `start` passes over the hosts with the most room, so that two questions get different answers.
        """
        found: dict[int, int] = {}
        for number in vms:
            vm = self.cloud.vms.get(number)
            without = tried.get(number, frozenset()).union(lost) if vm is not None else frozenset()
            host = self._best(vm, without, start) if vm is not None else None
            if vm is not None and host is not None:
                found[number] = host
                self._take(vm, host)
        return found

    def trial(self, vms: Sequence[int], lost: Collection[int], *, start: int = 0) -> Mapping[int, int]:
        """Return what `place` would return when these hosts are lost; the room stays as it was."""
        found = self.place(vms, {}, lost=lost, start=start)
        for number, host in found.items():
            self._resize(host, self._room[host] + size_of(self.cloud.vms[number]))
        for host in set(found.values()):
            placed = self.cloud.vms_by_host.get(host, ())
            self._apart[host] = {key for vm in placed for key in self.ties.apart.get(vm.id, ())}
        return found

    def room(self, host: int) -> Size:
        """Return the room that is left on a host."""
        return self._room[host]

    def _best(self, vm: Vm, without: Collection[int], start: int) -> int | None:
        """Return the host with the most room left afterwards, of those after `start`, then of all."""
        size, allowed = size_of(vm), self._hosts(vm)
        apart = self.ties.apart.get(vm.id, ())
        for begin, end in ((start, None), (0, start)):
            for free, host in islice(self._order, begin, end):
                if size.memory > -free:
                    break
                if host not in allowed or host in without or host == vm.host_id:
                    continue
                if size.fits(self._room[host]) and not self._apart[host].intersection(apart):
                    return host
        return None

    def _hosts(self, vm: Vm) -> frozenset[int]:
        try:
            limits = [self._required.allowed(text, vm.uid) for text in vm.requirements]
        except Unreadable:
            return frozenset()
        allowed = self._all
        for limit in (*limits, self._models.allowed(vm.template)):
            allowed = allowed if limit is None else allowed & limit
        if affined := self.ties.hosts.get(vm.id):
            allowed = allowed & affined
        refused = self.ties.not_hosts.get(vm.id)
        return allowed - frozenset(refused) if refused else allowed

    def _take(self, vm: Vm, host: int) -> None:
        self._resize(host, self._room[host] - size_of(vm))
        self._apart[host].update(self.ties.apart.get(vm.id, ()))

    def _resize(self, host: int, size: Size) -> None:
        before = (-self._room[host].memory, host)
        del self._order[bisect_left(self._order, before)]
        insort(self._order, (-size.memory, host))
        self._room[host] = size


def size_of(vm: Vm) -> Size:
    """Return what a VM needs."""
    return Size(round(100 * vm.cpu), vm.memory)
