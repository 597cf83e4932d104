"""Where VMs of a dead host may start: room, requirements, VM groups; the most important VM first."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from onext.cloud.model import Host, Vm
from onext.cloud.snapshot import Cloud
from onext.hosts.inventory.groups import Ties
from onext.hosts.inventory.requirements import Unreadable, compile_test
from onext.hosts.placement.problem import Size
from onext.oned.objects import HostState, VmState

_OPEN = (HostState.MONITORED, HostState.MONITORING_MONITORED)
_KIB = 1024


def room(host: Host) -> Size:
    """Return what is free on a host, after what its VMs reserve."""
    return Size(host.max_cpu - host.cpu_usage, (host.max_memory - host.memory_usage) // _KIB)


@dataclass
class Places:
    """The hosts of one cluster that may take VMs, with the room that is left on each."""

    cloud: Cloud
    cluster: int
    closed: Collection[int] = ()  # hosts that take nothing: failed, claimed, in maintenance
    ties: Ties = field(default_factory=Ties)
    _room: dict[int, Size] = field(default_factory=dict)
    _apart: dict[int, set[str]] = field(default_factory=dict)
    _allowed: dict[str, frozenset[int]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for host in self.cloud.hosts.values():
            usable = host.cluster_id == self.cluster and host.state in _OPEN and not host.problem
            if usable and host.id not in self.closed:
                self._room[host.id] = room(host)
                placed = self.cloud.vms_by_host.get(host.id, ())
                self._apart[host.id] = {key for vm in placed for key in self.ties.apart.get(vm.id, ())}

    def place(self, vms: Sequence[int], tried: Mapping[int, frozenset[int]]) -> Mapping[int, int]:
        """Return a host for each VM that fits somewhere, those first that come first."""
        found: dict[int, int] = {}
        for number in vms:
            vm = self.cloud.vms.get(number)
            host = self._best(vm, tried.get(number, frozenset())) if vm is not None else None
            if vm is not None and host is not None:
                found[number] = host
                self._take(vm, host)
        return found

    def _best(self, vm: Vm, without: frozenset[int]) -> int | None:
        """Return the host with the most room left afterwards."""
        size = size_of(vm)
        fits = [
            host
            for host in self._hosts(vm)
            if host not in without
            and host != vm.host_id
            and size.fits(self._room[host])
            and not self._apart[host].intersection(self.ties.apart.get(vm.id, ()))
        ]
        return max(fits, key=lambda host: (self._room[host].memory - size.memory, -host), default=None)

    def _hosts(self, vm: Vm) -> Iterable[int]:
        expression = " & ".join(f"({text})" for text in vm.requirements)
        if expression not in self._allowed:
            self._allowed[expression] = self._matching(expression)
        allowed = self._allowed[expression]
        if affined := self.ties.hosts.get(vm.id):
            allowed = allowed & affined
        return allowed - frozenset(self.ties.not_hosts.get(vm.id) or ())

    def _matching(self, expression: str) -> frozenset[int]:
        if not expression:
            return frozenset(self._room)
        try:
            test = compile_test(expression)
        except Unreadable:
            return frozenset()
        return frozenset(host for host in self._room if test(_attributes(self.cloud.hosts[host])))

    def _take(self, vm: Vm, host: int) -> None:
        self._room[host] = self._room[host] - size_of(vm)
        self._apart[host].update(self.ties.apart.get(vm.id, ()))


def size_of(vm: Vm) -> Size:
    """Return what a VM needs."""
    return Size(round(100 * vm.cpu), vm.memory)


def _attributes(host: Host) -> dict[str, str]:
    """Return what requirements may ask of a host."""
    scalars = {key: value for key, value in host.template.items() if isinstance(value, str)}
    return {**scalars, "ID": str(host.id), "NAME": host.name, "CLUSTER_ID": str(host.cluster_id)} | {
        "CLUSTER": host.cluster, "VM_MAD": host.vm_mad,
    }  # fmt: skip


Priority = Callable[[Vm], int]


def without_a_place(
    cloud: Cloud, cluster: int, lost: Collection[int], ties: Ties, priority: Priority
) -> list[int]:
    """Return the VMs that would find no host if these hosts failed now (admission control)."""
    places = Places(cloud, cluster, lost, ties)
    vms = [vm for host in lost for vm in cloud.vms_by_host.get(host, ()) if vm.state == VmState.ACTIVE]
    vms.sort(key=lambda vm: (-priority(vm), vm.id))
    found = places.place([vm.id for vm in vms], {})
    return [vm.id for vm in vms if vm.id not in found]
