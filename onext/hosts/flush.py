"""Which VMs of a host move next, and why others stay. Pure: it is given the cluster as it is each time."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from onext.hosts.model import Cluster, Kind, Vm
from onext.hosts.openings import Openings

MOST_TRIES = 2  # targets that a VM is sent to before it is left


@dataclass(frozen=True, slots=True)
class Step:
    """A VM that is to move, to which host."""

    vm: int
    name: str
    target: int


@dataclass
class Flush:
    """One host that is being emptied, with what was tried."""

    host: int
    parallel: int = 2  # migrations at once
    tried: dict[int, list[int]] = field(default_factory=dict)  # VM -> targets
    refused: dict[int, str] = field(default_factory=dict)  # VM -> what oned answered

    def steps(self, cluster: Cluster) -> list[Step]:
        """Return the migrations to begin now: running VMs first, the largest of them first."""
        here = cluster.on(self.host)
        openings = Openings(cluster, (self.host,))
        moving = self.moving(cluster)
        found: list[Step] = []
        for vm in sorted(here, key=_order):
            if moving + len(found) >= self.parallel:
                break
            if self._settled(vm):
                continue
            hosts = openings.fitting(vm, self._without(vm))
            if hosts:
                openings.move(vm, hosts[0])
                found.append(Step(vm.id, vm.name, hosts[0]))
        return found

    def begun(self, step: Step) -> None:
        """Note that a migration was begun."""
        self.tried.setdefault(step.vm, []).append(step.target)

    def moving(self, cluster: Cluster) -> int:
        """Count the VMs that were sent away and are on their way: oned lists them on their targets."""
        return sum(vm.kind is Kind.BUSY and vm.id in self.tried for vm in cluster.vms)

    def stays(self, cluster: Cluster) -> Mapping[int, str]:
        """Return each VM that is still on the host, with the reason."""
        openings = Openings(cluster, (self.host,))
        return {vm.id: self._reason(vm, openings) for vm in sorted(cluster.on(self.host), key=_order)}

    def _settled(self, vm: Vm) -> bool:
        tries = len(self.tried.get(vm.id, ()))
        return bool(vm.fixed) or vm.kind is Kind.BUSY or vm.id in self.refused or tries >= MOST_TRIES

    def _without(self, vm: Vm) -> Collection[int]:
        return self.tried.get(vm.id, ())

    def _reason(self, vm: Vm, openings: Openings) -> str:
        if vm.fixed:
            return vm.fixed
        if vm.id in self.refused:
            return f"OpenNebula refused it: {self.refused[vm.id]}"
        if vm.kind is Kind.BUSY:
            return "its state does not allow a migration now"
        if len(self.tried.get(vm.id, ())) >= MOST_TRIES:
            return f"its migration failed {MOST_TRIES} times: see its log"
        return openings.why_nowhere(vm, self._without(vm))


def _order(vm: Vm) -> tuple[bool, int, int]:
    return vm.kind is not Kind.RUNNING, -vm.size.memory, vm.id
