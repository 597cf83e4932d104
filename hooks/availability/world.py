"""What the availability part can see and do, behind one interface, so that a model can take its place."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from hooks.availability.evidence import Evidence
from hooks.availability.model import Incident, Vm
from hooks.availability.vm_states import Course


class Failed(Exception):
    """An effect did not happen, or it is unknown whether it did; the next round tries again."""


class Stopped(Exception):
    """`onext stop availability` was given: nothing more is done."""


class World(Protocol):
    """The effects. Each raises Failed when it did not, or may not have, happened."""

    server: int
    term: int

    def now(self) -> float:
        """Return the Unix time."""

    def monotonic(self) -> float:
        """Return seconds of a clock that only advances."""

    def stopped(self) -> bool:
        """Return whether the part is stopped."""

    def evidence(self, host: int) -> Sequence[Evidence]:
        """Collect evidence about a host now; the BMC is read twice."""

    def incident(self, host: int) -> Incident | None:
        """Read the record of a host's incident afresh."""

    def write(self, incident: Incident) -> None:
        """Write a record; return once the zone has accepted it."""

    def forbidden(self, incident: Incident) -> str:
        """Return why a person's word or the host's state forbids an irreversible step now, read afresh."""

    def withdraw(self, host: int) -> None:
        """Delete a person's confirmation of a host's death."""

    def forget(self, host: int) -> None:
        """Move a record into the history."""

    def vm(self, vm: int) -> Vm | None:
        """Read a VM afresh, None where it is gone."""

    def disable(self, host: int) -> None:
        """Let the scheduler place nothing more on a host."""

    def enable(self, host: int) -> None:
        """Let a host take VMs."""

    def protect(self, vm: int) -> None:
        """Lock a VM with level ADMIN and clear its RESCHED flag."""

    def lock(self, vm: int, level: int) -> None:
        """Lock a VM with this level."""

    def unlock(self, vm: int) -> None:
        """Remove the lock of a VM."""

    def drop_plan(self, cluster: int) -> None:
        """Delete OneDRS's plan for a cluster."""

    def fence(self, host: int, deadline: float) -> None:
        """Order a host off, hard, unless `deadline` (monotonic) has passed when the order would be sent."""

    def claim(self, host: int, held: str) -> None:
        """Claim a host with this reason, so that power management leaves it alone; empty: release it."""

    def wake(self, host: int) -> None:
        """Ask power management to wake a host."""

    def start(self, vm: int, target: int, course: Course, deadline: float) -> None:
        """Start a VM on another host, unless `deadline` (monotonic) has passed when it would be ordered."""

    def recover(self, vm: int) -> None:
        """Report the VM's last step to oned as failed."""

    def resume(self, vm: int) -> None:
        """Resume a VM on its host."""

    def move_back(self, vm: int, host: int) -> None:
        """Migrate a RUNNING VM live."""

    def clean(self, host: int) -> bool:
        """Remove VMs that oned has elsewhere; return whether libvirt, asked twice, runs none of them."""

    def alarm(self, host: int, text: str) -> None:
        """Report to people."""
