"""VMs whose migration was refused or did not happen: fixed for a while, longer after each failure.

Without this a VM that cannot move would have its host disabled and emptied again and again.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from onext.hosts.model import Cluster, Kind

FIRST, LONGEST = 300.0, 86_400.0  # seconds for which a VM is fixed after one failure, and at most
LATE = 60.0  # seconds after which a VM that runs on its source host was not moved
FORGOTTEN = 7 * LONGEST
MOST = 10_000  # VMs that are remembered


@dataclass(frozen=True, slots=True)
class Failure:
    """How often a VM was not moved, when it was tried last, and why it failed."""

    count: int
    last: float
    reason: str

    @property
    def pause(self) -> float:
        """Return the seconds for which the VM is fixed."""
        return min(LONGEST, FIRST * 2.0 ** min(self.count - 1, 100))


@dataclass
class MoveFailures:
    """By VM: failures, and the migrations that were begun (source host, time)."""

    failed: dict[int, Failure] = field(default_factory=dict)
    begun: dict[int, tuple[int, float]] = field(default_factory=dict)

    def note(self, vm: int, reason: str, now: float) -> bool:
        """Remember a failure; return whether people should be told, which they are of the first."""
        before = self.failed.get(vm)
        self.failed[vm] = Failure(before.count + 1 if before else 1, now, reason[:200])
        self.begun.pop(vm, None)
        return before is None

    def began(self, moves: Iterable[tuple[int, int]], now: float) -> None:
        """Remember migrations that oned took: (VM, source host)."""
        self.begun.update({vm: (source, now) for vm, source in moves})

    def look(self, cluster: Cluster, now: float) -> dict[int, str]:
        """Judge the migrations that were begun in a cluster; return VMs that were newly found not to move."""
        told = {}
        for vm in cluster.vms:
            source, when = self.begun.get(vm.id, (-1, now))
            if source < 0:
                continue
            if vm.host != source:
                self.begun.pop(vm.id)
                self.failed.pop(vm.id, None)
            elif vm.kind is Kind.RUNNING and not 0 <= now - when < LATE:
                reason = "its migration was begun, and it still runs on its host"
                if self.note(vm.id, reason, now):
                    told[vm.id] = reason
        self._forget(now)
        return told

    def apply(self, cluster: Cluster, now: float) -> Cluster:
        """Return the cluster with VMs fixed whose last failure is not long enough ago."""
        vms = (
            replace(vm, fixed=why) if not vm.fixed and (why := self.fixed(vm.id, now)) else vm
            for vm in cluster.vms
        )
        return replace(cluster, vms=tuple(vms))

    def fixed(self, vm: int, now: float) -> str:
        """Return why a VM is not moved now; empty where it may be tried."""
        failure = self.failed.get(vm)
        if failure is None or not 0 <= now - failure.last < failure.pause:
            return ""
        minutes = (failure.pause - (now - failure.last)) / 60
        return f"not moved {failure.count} times: {failure.reason}; tried again in {minutes:.0f} minutes"

    def _forget(self, now: float) -> None:
        old = [vm for vm, failure in self.failed.items() if not abs(now - failure.last) < FORGOTTEN]
        surplus = sorted(self.failed, key=lambda vm: self.failed[vm].last)[: max(0, len(self.failed) - MOST)]
        for vm in {*old, *surplus}:
            del self.failed[vm]
        for vm in [vm for vm, (_, when) in self.begun.items() if not abs(now - when) < FORGOTTEN]:
            del self.begun[vm]

    def saved(self) -> dict[str, object]:
        """Return what the next process continues with, as JSON."""
        failed = {str(vm): [one.count, one.last, one.reason] for vm, one in self.failed.items()}
        return {"failed": failed, "begun": {str(vm): list(pair) for vm, pair in self.begun.items()}}

    @classmethod
    def restored(cls, document: Mapping[str, Mapping[str, list[object]]]) -> MoveFailures:
        """Read what `saved` returned; raise ValueError, TypeError or KeyError."""
        failed = {
            int(vm): Failure(int(str(n)), float(str(at)), str(why))
            for vm, (n, at, why) in document["failed"].items()
        }
        begun = {int(vm): (int(str(host)), float(str(at))) for vm, (host, at) in document["begun"].items()}
        return cls(failed, begun)
