"""On which host a VM is: what OpenNebula's script is told decides what it removes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.vmm.migrate.onext_migrate import location
from drivers.vmm.migrate.onext_migrate.location import BOTH, HERE, MOVING, NOWHERE, THERE, UNKNOWN
from drivers.vmm.migrate.onext_migrate.virsh import State

RUNNING, ABSENT = State("running", "booted"), State("absent", "")
SUSPENDED, INCOMING = State("paused", "user"), State("paused", "migrating")
POSTCOPY, BROKEN = State("paused", "post-copy"), State("paused", "post-copy failed")
SILENT = State("unknown", "time-out")


@pytest.mark.parametrize(
    ("here", "there", "where"),
    [
        (RUNNING, ABSENT, HERE),
        (SUSPENDED, ABSENT, HERE),
        (INCOMING, ABSENT, HERE),
        (RUNNING, INCOMING, MOVING),
        (ABSENT, RUNNING, THERE),
        (ABSENT, SUSPENDED, THERE),
        (INCOMING, RUNNING, THERE),  # virsh died before it could remove the source's rest
        (INCOMING, INCOMING, MOVING),
        (POSTCOPY, RUNNING, MOVING),
        (BROKEN, RUNNING, UNKNOWN),
        (ABSENT, ABSENT, NOWHERE),
        (ABSENT, State("crashed", ""), NOWHERE),
        (RUNNING, RUNNING, BOTH),
        (ABSENT, SILENT, UNKNOWN),
        (SILENT, RUNNING, UNKNOWN),
    ],
)
def test_A2_where_it_is(here: State, there: State, where: str) -> None:
    """A VM that has arrived was destroyed, because virsh had been killed."""
    assert location.locate(here, there) == where


@pytest.fixture(autouse=True)
def no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ask without pauses."""
    monkeypatch.setattr(location, "_PAUSE", 0)


def test_A2_asked_until_the_answer_is_final() -> None:
    """At the moment of arrival each answer is true for milliseconds."""
    answers = [
        (RUNNING, INCOMING),
        (INCOMING, INCOMING),
        (ABSENT, SILENT),
        (ABSENT, RUNNING),
        (ABSENT, RUNNING),
    ]
    found = location.settle(lambda: answers.pop(0), lambda: False, 60)
    assert (found.where, answers) == (THERE, [])


def test_A2_a_job_that_goes_on_without_virsh_is_waited_for() -> None:
    """Libvirt migrates by itself with --p2p: "running here" is true for now only."""
    jobs = [True, True, False]
    found = location.settle(lambda: (RUNNING, ABSENT), lambda: jobs.pop(0), 60)
    assert (found.where, jobs) == (HERE, [])


def test_A2_without_an_answer_it_is_unknown() -> None:
    """A destination that is silent is not a licence to delete what is there."""
    assert location.settle(lambda: (ABSENT, SILENT), lambda: False, 0).where == UNKNOWN


STATES = st.sampled_from([RUNNING, ABSENT, SUSPENDED, INCOMING, POSTCOPY, BROKEN, SILENT])


@given(STATES, STATES)
def test_A2_here_means_that_the_destination_has_nothing(here: State, there: State) -> None:
    """After "here" OpenNebula's script destroys the VM on the destination and deletes its folder."""
    if location.locate(here, there) == HERE:
        assert there == ABSENT
        assert here.name in ("running", "paused")
