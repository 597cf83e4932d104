"""The table of VM states, row by row, with the numbers of OpenNebula's API reference."""

from __future__ import annotations

from dataclasses import replace

import pytest

from hooks.availability.model import Action, Vm
from hooks.availability.vm_states import Course, dispose

HERE = Vm(7, "db", host=0, seq=2, state=3, lcm=16)
FAILURES = (36, 37, 38, 39, 40, 41, 42, 44, 46, 47, 48, 49, 50, 61)


def course(vm: Vm, default: Action = Action.MIGRATE, *, owners: bool = False) -> Course:
    """Return the course for a VM of dead host 0."""
    return dispose(vm, 0, default, owners=owners).course


@pytest.mark.parametrize(
    ("state", "expected"),
    [
        (0, Course.GONE),
        (1, Course.GONE),
        (2, Course.GONE),
        (4, Course.GONE),
        (5, Course.STAY),
        (6, Course.GONE),
        (7, Course.LEAVE),
        (8, Course.STAY),
        (9, Course.GONE),
        (10, Course.LEAVE),
        (11, Course.LEAVE),
        (99, Course.LEAVE),
    ],
)
def test_each_state(state: int, expected: Course) -> None:
    """A VM that its owner stopped would be started, or one with an unknown state touched."""
    assert course(replace(HERE, state=state, lcm=0)) is expected


@pytest.mark.parametrize("lcm", range(-1, 75))
def test_each_lcm_state(lcm: int) -> None:
    """A VM whose step failed, or whose state a newer OpenNebula added, would be started on the same disks."""
    known = range(1, 73)
    expected = (
        Course.MIGRATE if lcm == 16
        else Course.LEAVE if lcm in FAILURES or lcm in (14, 58) or lcm not in known
        else Course.WAIT
    )  # fmt: skip
    found = dispose(replace(HERE, lcm=lcm), 0, Action.MIGRATE, owners=False)
    assert found.course is expected
    if lcm in (2, 3):
        noticed = "oned has not noticed yet" in found.reason
        assert noticed is (lcm == 3)


def test_a_vm_elsewhere_is_left_to_where_it_is() -> None:
    """A VM that somebody moved meanwhile would be migrated away from a healthy host."""
    assert course(replace(HERE, host=1)) is Course.GONE


@pytest.mark.parametrize(
    ("who", "expected"),
    [("monitoring", Course.MIGRATE_AND_RESUME), ("person", Course.STAY), ("", Course.STAY)],
)
def test_only_what_monitoring_powered_off_starts_again(who: str, expected: Course) -> None:
    """A VM that its owner powered off would run again, and cost."""
    assert course(replace(HERE, state=8, lcm=0, parked_by=who)) is expected


def test_a_service_restarts_its_own_vms_unless_told_otherwise() -> None:
    """OneFlow would start a second instance of each role beside ours."""
    owned = replace(HERE, service="OneFlow")
    assert course(owned) is Course.STAY
    assert course(owned, owners=True) is Course.MIGRATE


@pytest.mark.parametrize(
    ("own", "default", "shared", "expected"),
    [
        (None, Action.MIGRATE, True, Course.MIGRATE),
        (None, Action.LEAVE, True, Course.LEAVE),
        (Action.LEAVE, Action.MIGRATE, True, Course.LEAVE),
        (Action.MIGRATE, Action.LEAVE, True, Course.MIGRATE),
        (None, Action.MIGRATE, False, Course.LEAVE),
        (Action.RECREATE, Action.MIGRATE, True, Course.MIGRATE),
        (Action.RECREATE, Action.MIGRATE, False, Course.RECREATE),
        (None, Action.RECREATE, False, Course.LEAVE),
    ],
)
def test_disks_are_only_given_up_where_the_vm_itself_allows_it(
    own: Action | None, default: Action, shared: bool, expected: Course
) -> None:
    """A cluster's default would delete the local disks of every tenant's VM."""
    assert course(replace(HERE, action=own, shared=shared), default) is expected


def test_a_running_vm_that_is_not_to_be_restarted_is_left_at_once() -> None:
    """Its incident would wait for oned, and hold the VMs behind it."""
    assert course(replace(HERE, lcm=3, shared=False)) is Course.LEAVE
