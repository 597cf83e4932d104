"""What can be done with a VM of a dead host, by its state in oned: a table with a test for each row.

State and LCM state numbers are those of OpenNebula's API reference ("VM states"). A state that the table does
not know is left for a person.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from hooks.availability.model import Action, Vm


class Course(str, Enum):
    """What to do with a VM now."""

    MIGRATE = "migrate"  # one.vm.migrate, not live, from UNKNOWN
    MIGRATE_AND_RESUME = "migrate and resume"  # from POWEROFF, which monitoring caused
    RECREATE = "recreate"
    WAIT = "wait"  # a driver or oned has still to finish
    LEAVE = "leave"  # it should run, and a person or its host has to see to it
    STAY = "stay"  # it is as its owner wants it, or its owner's service restarts it
    GONE = "gone"


@dataclass(frozen=True, slots=True)
class Disposition:
    """A course with the reason for it."""

    course: Course
    reason: str


_ACTIVE, _POWEROFF, _SUSPENDED = 3, 8, 5
_SETTLED_ELSEWHERE = {0: "INIT", 1: "PENDING", 2: "HOLD", 4: "STOPPED", 6: "DONE", 9: "UNDEPLOYED"}
_RUNNING, _UNKNOWN = 3, 16
_FAILURES = {
    36: "BOOT_FAILURE",
    37: "BOOT_MIGRATE_FAILURE",
    38: "PROLOG_MIGRATE_FAILURE",
    39: "PROLOG_FAILURE",
    40: "EPILOG_FAILURE",
    41: "EPILOG_STOP_FAILURE",
    42: "EPILOG_UNDEPLOY_FAILURE",
    44: "PROLOG_MIGRATE_POWEROFF_FAILURE",
    46: "PROLOG_MIGRATE_SUSPEND_FAILURE",
    47: "BOOT_UNDEPLOY_FAILURE",
    48: "BOOT_STOPPED_FAILURE",
    49: "PROLOG_RESUME_FAILURE",
    50: "PROLOG_UNDEPLOY_FAILURE",
    61: "PROLOG_MIGRATE_UNKNOWN_FAILURE",
}
_UNDER_WAY = frozenset(range(1, 73)) - {_RUNNING, _UNKNOWN, 14, 58, *_FAILURES}


def dispose(vm: Vm, host: int, default: Action, *, owners: bool) -> Disposition:
    """Return the course for a VM that was on dead host `host`; `owners`: also restart VMs of services."""
    if vm.host != host:
        return Disposition(Course.GONE, f"it is on host {vm.host} now")
    if vm.state in _SETTLED_ELSEWHERE:
        return Disposition(Course.GONE, f"{_SETTLED_ELSEWHERE[vm.state]}: it needs no host now")
    if vm.service and not owners:
        return Disposition(Course.STAY, f"{vm.service} restarts it")
    if vm.state == _SUSPENDED:
        return Disposition(Course.STAY, "SUSPENDED: it stays so")
    if vm.state == _POWEROFF:
        return _parked(vm, default)
    return _active(vm, default) if vm.state == _ACTIVE else _unknown_state(vm)


def _parked(vm: Vm, default: Action) -> Disposition:
    if vm.parked_by != "monitoring":
        return Disposition(Course.STAY, "POWEROFF: a person powered it off")
    return _restart(vm, default, Course.MIGRATE_AND_RESUME)


def _active(vm: Vm, default: Action) -> Disposition:
    if vm.lcm == _UNKNOWN:
        return _restart(vm, default, Course.MIGRATE)
    if vm.lcm in _FAILURES:
        return Disposition(Course.LEAVE, f"{_FAILURES[vm.lcm]}: a person has to recover it")
    if vm.lcm != _RUNNING and vm.lcm not in _UNDER_WAY:
        return _unknown_state(vm)
    later = _restart(vm, default, Course.WAIT)
    if later.course is Course.LEAVE:
        return later
    doing = (
        "oned has not noticed yet that its host is down"
        if vm.lcm == _RUNNING
        else "a driver has not finished"
    )
    return Disposition(Course.WAIT, f"LCM state {vm.lcm}: {doing}")


def _restart(vm: Vm, default: Action, course: Course) -> Disposition:
    action = vm.action or default
    if action is Action.LEAVE:
        return Disposition(Course.LEAVE, "ACTION is leave")
    if vm.shared:
        return Disposition(course, "its disks are on shared storage")
    if vm.action is Action.RECREATE:
        return Disposition(Course.RECREATE, "an administrator allowed to recreate it")
    return Disposition(
        Course.LEAVE, "a disk is on its host: it waits for that, or set ONEXT_HA_ACTION=recreate"
    )


def _unknown_state(vm: Vm) -> Disposition:
    return Disposition(
        Course.LEAVE, f"state {vm.state}, LCM state {vm.lcm}: not known, a person has to decide"
    )
