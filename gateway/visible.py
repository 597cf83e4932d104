"""What of onext's own data a caller may see: all of it for administrators, else what the pools permit.

oned does not filter this data. For everybody but oneadmin and its group, each object that a record refers to
has to be in the caller's pools. A record about a VM or host that is not there is left out; a reference to
another object that is not there (the host of a VM, the target of a restart) is left out of the record.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass

import msgspec

from gateway.records import Energy, Event, Incident, IncidentVm, PowerPlan, Target

NONE = -1
_REFERENCES = {"host": "host", "cluster": "cluster"}  # facts of an event that are ids of other objects


@dataclass(frozen=True)
class Sight:
    """The ids in a caller's pools."""

    administrator: bool
    user_id: int
    hosts: Collection[int]
    vms: Collection[int]
    clusters: Collection[int]

    def sees(self, kind: str, number: int) -> bool:
        """Return whether an object is in the caller's pools; unknown kinds are for administrators."""
        pools = {"host": self.hosts, "vm": self.vms, "cluster": self.clusters}
        return self.administrator or number in pools.get(kind, ())

    def plans(self, plans: Iterable[PowerPlan]) -> Iterator[PowerPlan]:
        """Yield the plans of hosts that are seen; their reasons speak of their cluster and its VMs."""
        for plan in plans:
            if self.administrator:
                yield plan
            elif self.sees("host", plan.id) and self.sees("cluster", plan.cluster_id):
                yield msgspec.structs.replace(plan, reason="")  # it may name other hosts, VMs and people

    def energy(self, rows: Iterable[Energy]) -> Iterator[Energy]:
        """Yield the energy of clusters: sums over all hosts and users, so for administrators."""
        return iter(rows) if self.administrator else iter(())

    def incidents(self, incidents: Iterable[Incident]) -> Iterator[Incident]:
        """Yield incidents of hosts that are seen, whole where all their VMs and targets are seen."""
        for incident in incidents:
            if self.administrator:
                yield incident
            elif self.sees("host", incident.id) and all(self.sees("vm", vm.vm_id) for vm in incident.vms):
                vms = [self._restart(vm) for vm in incident.vms]
                yield msgspec.structs.replace(incident, reason="", proof="", timeline=[], vms=vms)

    def _restart(self, vm: IncidentVm) -> IncidentVm:
        return msgspec.structs.replace(vm, reason="", target_id=self._host(vm.target_id))

    def targets(self, targets: Iterable[Target]) -> Iterator[Target]:
        """Yield the targets of VMs and hosts that are seen."""
        for target in targets:
            if self.administrator:
                yield target
            elif target.vm_id is not None:
                if self.sees("vm", target.vm_id):
                    host = self._host(NONE if target.host_id is None else target.host_id)
                    yield msgspec.structs.replace(target, host_id=None if host == NONE else host)
            elif target.host_id is not None and self.sees("host", target.host_id):
                yield target

    def event(self, event: Event) -> Event | None:
        """Return an event as the caller may see it, None where it may not."""
        if self.administrator:
            return event
        kind, _, number = event.subject.partition("/")
        own = kind == "vm" and event.data.get("uid") == self.user_id  # also when it is DONE, or new
        if not own and not (number.isdecimal() and self.sees(kind, int(number))):
            return None
        return msgspec.structs.replace(
            event, data=dict(self._seen(event.data)), before=dict(self._seen(event.before))
        )

    def _seen(self, facts: Mapping[str, str | int | float]) -> Iterator[tuple[str, str | int | float]]:
        for key, value in facts.items():
            kind = _REFERENCES.get(key)
            if kind is None or (isinstance(value, int) and (value == NONE or self.sees(kind, value))):
                yield key, value

    def _host(self, number: int) -> int:
        return number if self.sees("host", number) else NONE
