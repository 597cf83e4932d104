"""On which host a VM is: what OpenNebula's script is told decides what it removes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.vmm.migrate.onext_migrate import location
from drivers.vmm.migrate.onext_migrate.location import BOTH, HERE, MOVING, NOWHERE, THERE, UNKNOWN
from drivers.vmm.migrate.onext_migrate.virsh import State
from tests.drivers.vmm.migrate.clock import Clock

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
        (ABSENT, BROKEN, UNKNOWN),
        (ABSENT, POSTCOPY, MOVING),
        (ABSENT, INCOMING, UNKNOWN),  # nothing sends any more
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
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """Ask without waiting."""
    clock = Clock()
    monkeypatch.setattr(location, "time", clock)
    return clock


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


@pytest.mark.parametrize(
    ("here", "there", "active"),
    [(ABSENT, SILENT, False), (RUNNING, INCOMING, False), (RUNNING, ABSENT, True)],
)
def test_A2_without_a_final_answer_it_is_unknown(
    here: State, there: State, active: bool, clock: Clock
) -> None:
    """A destination that is silent, or a job that goes on, is not a licence to delete what is there."""
    asked = []

    def states() -> tuple[State, State]:
        asked.append(clock.now)
        return here, there

    found = location.settle(states, lambda: active, 60)
    assert (found.where, clock.now) == (UNKNOWN, 60)
    assert 60 < len(asked) < 240, "often enough to notice, not so often that libvirt is busy with it"


@pytest.mark.parametrize("moving", [(POSTCOPY, INCOMING), (RUNNING, POSTCOPY)])
def test_A2_post_copy_is_waited_for_without_an_end(moving: tuple[State, State], clock: Clock) -> None:
    """Half of the memory is on either side: whoever gives up now deletes a half."""
    answers = [moving] * 500
    found = location.settle(lambda: answers.pop() if answers else (ABSENT, RUNNING), lambda: False, 60)
    assert found.where == THERE
    assert clock.now > 200


@pytest.mark.parametrize("broken", [(BROKEN, RUNNING), (RUNNING, BROKEN)])
def test_A2_a_post_copy_that_broke_is_not_waited_for(broken: tuple[State, State], clock: Clock) -> None:
    """It never ends by itself: OpenNebula would wait for the driver for ever."""
    assert location.settle(lambda: broken, lambda: False, 60).where == UNKNOWN
    assert clock.now == 0


def test_both_answers_are_in_the_message() -> None:
    """Who has to decide by hand which copy is the VM sees what each libvirt answered."""
    found = location.Location(UNKNOWN, SILENT, ABSENT)
    assert found.message == "source: unknown (time-out), destination: absent"


STATES = st.sampled_from([RUNNING, ABSENT, SUSPENDED, INCOMING, POSTCOPY, BROKEN, SILENT])


@given(STATES, STATES)
def test_A2_here_means_that_the_destination_has_nothing(here: State, there: State) -> None:
    """After "here" OpenNebula's script destroys the VM on the destination and deletes its folder."""
    if location.locate(here, there) == HERE:
        assert there == ABSENT
        assert here.name in ("running", "paused")
