"""Restart the VMs of a dead host elsewhere: by priority, a few at once, each group after the one before."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace

from hooks.availability.model import SETTLED, Entry, Incident, Stage, Vm
from hooks.availability.policy import Policy
from hooks.availability.steps import Alarm, Boot, Recover, Relock, Start, Step, Unlock
from hooks.availability.vm_states import Course, dispose

START_TIMEOUT = 600.0  # seconds for a VM to become RUNNING elsewhere
TAKEN_TIMEOUT = 120.0  # seconds for oned to show that it accepted the order
MOST_TRIED = 20
WAIT_TIMEOUT = 900.0  # seconds after which a VM that waits for a driver is reported

Place = Callable[[Sequence[int], Mapping[int, frozenset[int]]], Mapping[int, int]]
"""Targets for VMs, the most important first, without the hosts already tried; no key where none has room."""

_ACTIVE, _RUNNING, _UNKNOWN, _POWEROFF = 3, 3, 16, 8
_START_FAILED = (
    36,
    37,
    38,
    61,
)  # BOOT_FAILURE, BOOT_MIGRATE_, PROLOG_MIGRATE_, PROLOG_MIGRATE_UNKNOWN_FAILURE
_RECOVERABLE = (37, 38, 61)  # recover with failure returns the VM to UNKNOWN


@dataclass
class Evacuation:
    """One round of an evacuation; `entries` and `steps` are its result."""

    incident: Incident
    vms: Mapping[int, Vm]
    policy: Policy
    now: float
    unread: Collection[int] = ()  # VMs that are there and could not be read
    steps: list[Step] = field(default_factory=list)
    proven: bool = field(init=False)

    def run(self, place: Place, *, proven: bool) -> Incident:
        """Return the incident after this round; starts nothing unless death is proven now."""
        self.proven = proven
        entries = [self._follow(entry) for entry in self.incident.entries]
        if proven:
            entries = self._start(entries, place)
        return replace(self.incident, entries=tuple(entries))

    def _follow(self, entry: Entry) -> Entry:
        if entry.stage in SETTLED or entry.vm in self.unread:
            return entry
        vm = self.vms.get(entry.vm)
        if vm is None:
            return replace(entry, stage=Stage.GONE, reason="it was removed")
        return self._started(entry, vm) if entry.stage is Stage.STARTED else self._waiting(entry, vm)

    def _started(self, entry: Entry, vm: Vm) -> Entry:
        age = elapsed(self.now, entry.started)
        if vm.host not in (entry.target, self.incident.host):
            return replace(entry, stage=Stage.GONE, reason=f"it is on host {vm.host} now")
        if vm.host == entry.target and (vm.state, vm.lcm) == (_ACTIVE, _RUNNING):
            return self._running(entry, vm, age)
        if vm.host == entry.target and vm.state == _ACTIVE and vm.lcm in _START_FAILED:
            return self._failed(entry, vm, f"it did not start on host {entry.target}")
        if vm.host == entry.target and vm.state == _POWEROFF and self.proven and _moved_only(vm):
            self.steps.append(Boot(self.incident.host, vm.id, entry.target))
            return entry
        if vm.host == self.incident.host and age > TAKEN_TIMEOUT:
            return self._not_taken(entry)
        if age > START_TIMEOUT:
            self._report(vm, f"has been starting on host {entry.target} for {START_TIMEOUT:.0f} s")
        return entry

    def _running(self, entry: Entry, vm: Vm, age: float) -> Entry:
        if vm.ready and not vm.answers and age <= START_TIMEOUT:
            return entry
        late = bool(vm.ready) and not vm.answers
        if late:
            self._report(vm, f"runs on host {entry.target} but is not ready ({vm.ready})")
        if entry.owner_lock:
            self.steps.append(Relock(self.incident.host, vm.id, entry.owner_lock))
        elif entry.locked:
            self.steps.append(Unlock(self.incident.host, vm.id))
        return replace(entry, stage=Stage.RUNNING, locked=False, reason="not ready" if late else "")

    def _not_taken(self, entry: Entry) -> Entry:
        """Try another host; an order that oned never accepted does not count as an attempt."""
        reason, tried = (
            f"oned did not move it to host {entry.target}",
            (*entry.tried, entry.target)[-MOST_TRIED:],
        )
        attempts = max(0, entry.attempts - 1)
        return replace(entry, stage=Stage.WAITING, attempts=attempts, tried=tried, target=-1, reason=reason)

    def _failed(self, entry: Entry, vm: Vm, reason: str) -> Entry:
        tried = (*entry.tried, entry.target)[-MOST_TRIED:]
        if entry.attempts > self.policy.retries:
            self._report(vm, f"did not restart: {reason}; all {entry.attempts} attempts failed")
            return replace(entry, stage=Stage.FAILED, tried=tried, reason=reason)
        if vm.host == entry.target:
            if vm.lcm not in _RECOVERABLE:
                self._report(vm, f"did not restart: {reason}; a person has to recover it")
                return replace(entry, stage=Stage.FAILED, tried=tried, reason=reason)
            self.steps.append(Recover(self.incident.host, vm.id))
        return replace(entry, stage=Stage.WAITING, tried=tried, target=-1, started=self.now, reason=reason)

    def _waiting(self, entry: Entry, vm: Vm) -> Entry:
        found = dispose(vm, self.incident.host, self.policy.action, owners=self.policy.services)
        if found.course is Course.GONE:
            return replace(entry, stage=Stage.GONE, reason=found.reason)
        if found.course is Course.STAY:
            return replace(entry, stage=Stage.LEFT, reason=found.reason)
        if found.course is Course.LEAVE:
            self._report(vm, f"is not restarted: {found.reason}")
            return replace(entry, stage=Stage.LEFT, reason=found.reason)
        if found.course is Course.WAIT and self.now - self.incident.first > WAIT_TIMEOUT:
            self._report(vm, f"still waits: {found.reason}")
        return replace(entry, reason=found.reason)

    def _start(self, entries: list[Entry], place: Place) -> list[Entry]:
        group = self._open_group(entries)
        free = self.policy.max_parallel - sum(entry.stage is Stage.STARTED for entry in entries)
        candidates = [
            e
            for e in entries
            if e.stage is Stage.WAITING and e.priority >= group and e.vm in self.vms and self._course(e)
        ]
        candidates.sort(key=lambda entry: (-entry.priority, entry.vm))
        chosen = candidates[: max(0, free)]
        targets = place([entry.vm for entry in chosen], {e.vm: frozenset(e.tried) for e in chosen})
        return [self._order(e, targets.get(e.vm)) if e in chosen else e for e in entries]

    def _order(self, entry: Entry, target: int | None) -> Entry:
        course = self._course(entry)
        assert course is not None
        if target is None:
            self._report(self.vms[entry.vm], "is not restarted yet: no host has room that it may use")
            return replace(entry, tried=(), reason="no host has room that it may use")
        self.steps.append(Start(self.incident.host, entry.vm, target, course))
        return replace(
            entry,
            stage=Stage.STARTED,
            target=target,
            owner_lock=entry.owner_lock or (0 if entry.locked else self.vms[entry.vm].lock),
            attempts=entry.attempts + 1,
            started=self.now,
            reason="",
        )

    def _course(self, entry: Entry) -> Course | None:
        found = dispose(
            self.vms[entry.vm], self.incident.host, self.policy.action, owners=self.policy.services
        ).course
        return found if found in (Course.MIGRATE, Course.MIGRATE_AND_RESUME, Course.RECREATE) else None

    def _open_group(self, entries: Sequence[Entry]) -> int:
        """Return the lowest priority that may start now: those above it passed their gate."""
        for priority in sorted({entry.priority for entry in entries}, reverse=True):
            group = [entry for entry in entries if entry.priority == priority]
            if not self._passed(group):
                return priority
        return 0

    def _passed(self, group: Sequence[Entry]) -> bool:
        if all(entry.stage in SETTLED for entry in group):
            return True
        started = max(entry.started for entry in group)
        if not started:
            return elapsed(self.now, self.incident.since) > max(WAIT_TIMEOUT, self.policy.group_pause)
        return elapsed(self.now, started) > self.policy.group_pause

    def _report(self, vm: Vm, text: str) -> None:
        """Report about a VM once, even if its owner renames it."""
        key = f"VM {vm.id} {text}"
        if key not in self.incident.alarms:
            self.steps.append(Alarm(self.incident.host, f"VM {vm.id} ({vm.name}) {text}", key))


def elapsed(now: float, since: float) -> float:
    """Return the seconds since a recorded time; one in the future means that the clock jumped back."""
    return now - since if now >= since else float("inf")


def _moved_only(vm: Vm) -> bool:
    """Return whether nothing but its move put the VM there: a later order of a person stays in force."""
    return vm.parked_by != "person"
