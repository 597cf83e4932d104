"""Where a VM of a cluster may go now: room, requirements, VM groups. Pure; moves are entered into its books.

A host takes VMs while it is in service, no part works on it, and it is not kept for pinned VMs.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field

from onext.hosts.model import Cluster, Vm, total
from onext.hosts.placement.problem import Size


@dataclass
class Openings:
    """The hosts of a cluster that take VMs, but those `closed`, with the room that is left on each."""

    cluster: Cluster
    closed: Collection[int] = ()
    room: dict[int, Size] = field(init=False)
    _at: dict[int, int] = field(init=False)  # VM -> host, after what was moved

    def __post_init__(self) -> None:
        placed = self.cluster.by_host()
        self.room = {
            host.id: host.size - total(placed[host.id])
            for host in self.cluster.hosts
            if host.takes_vms and not host.pinned and host.id not in self.closed
        }
        self._at = {vm.id: vm.host for vm in self.cluster.vms}

    def allowed(self, vm: Vm) -> frozenset[int]:
        """Return the hosts that requirements and VM groups allow, whatever room they have."""
        hosts = {host for host in self.room if host != vm.host and (vm.hosts is None or host in vm.hosts)}
        if vm.apart:
            taken = (one for one in self.cluster.vms if one.id != vm.id and one.apart & vm.apart)
            hosts -= {self._at[one.id] for one in taken}
        if vm.together:
            hosts &= self._with_its_group(vm, hosts)
        return frozenset(hosts)

    def _with_its_group(self, vm: Vm, hosts: set[int]) -> set[int]:
        """Return the hosts of the VMs that must share one with this VM, any where all have still to move."""
        others = [one for one in self.cluster.vms if one.together == vm.together and one.id != vm.id]
        elsewhere = {self._at[one.id] for one in others} - {vm.host}
        return elsewhere or hosts

    def fitting(self, vm: Vm, without: Collection[int] = ()) -> list[int]:
        """Return the hosts that may take a VM now, most memory left first."""
        found = (host for host in self.allowed(vm) if host not in without and vm.size.fits(self.room[host]))
        return sorted(found, key=lambda host: (-(self.room[host].memory - vm.size.memory), host))

    def why_nowhere(self, vm: Vm, without: Collection[int] = ()) -> str:
        """Return why `fitting` has no host for a VM."""
        allowed = self.allowed(vm)
        if not allowed:
            return "no other host that takes VMs meets its requirements and VM group"
        if allowed <= set(without):
            return "every host that it may use was tried"
        cores = f"{vm.size.cpu / 100:g} cores and {vm.size.memory} MiB"
        return f"none of the {len(allowed)} hosts that it may use has {cores} free"

    def move(self, vm: Vm, target: int) -> None:
        """Enter that a VM goes to a host; its old place stays taken until it has arrived."""
        self.room[target] = self.room[target] - vm.size
        self._at[vm.id] = target
