"""Where the guest is, and what OpenNebula is told."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.vmm.migrate.onext_migrate import outcome
from drivers.vmm.migrate.onext_migrate.virsh import State, read_job, read_state

NAMES = ["running", "idle", "paused", "absent", "unknown", "crashed"]
STATES = st.builds(State, st.sampled_from(NAMES), st.sampled_from(["", "user", "migrating", "post-copy"]))


@pytest.mark.parametrize(
    ("here", "there", "stock", "code", "remedy"),
    [
        ("absent", "running", 0, 0, outcome.NOTHING),
        ("absent", "running", 1, 0, outcome.NOTHING),  # the stock one fails after a success (SYNC_TIME)
        ("running", "absent", 0, 1, outcome.NOTHING),
        ("running", "absent", 3, 3, outcome.NOTHING),
        ("running", "paused", 1, 1, outcome.ASK_AGAIN),
        ("running", "unknown", 1, 1, outcome.NOTHING),
        ("absent", "paused", 1, 0, outcome.RESUME_THERE),  # its last rsync failed, the guest waits
        ("paused", "absent", -9, 1, outcome.RESUME_HERE),
        ("paused", "paused", 1, 0, outcome.ASK_AGAIN),
        ("absent", "unknown", 0, 1, outcome.NOTHING),
        ("absent", "absent", 0, 1, outcome.NOTHING),
        ("running", "running", 0, 1, outcome.NOTHING),
    ],
)
def test_truth(here: str, there: str, stock: int, code: int, remedy: str) -> None:
    """OpenNebula acts on the exit code: a wrong one loses the guest, or starts a second."""
    found = outcome.judge(State(here, ""), State(there, ""), stock, "node-a", "node-b")
    assert (found.exit_code, found.remedy) == (code, remedy)


@given(STATES, STATES, st.integers(-15, 255))
def test_success_is_never_claimed_for_a_guest_that_runs_here(here: State, there: State, stock: int) -> None:
    """Exit code 0 makes OpenNebula clean up the source."""
    found = outcome.judge(here, there, stock, "node-a", "node-b")
    assert 0 <= found.exit_code <= 255
    if found.exit_code == 0 and found.remedy == outcome.NOTHING:
        assert there.name in ("running", "idle")
        assert here.name not in ("running", "idle")


@given(STATES, STATES, st.integers(0, 255))
def test_only_one_side_is_ever_resumed(here: State, there: State, stock: int) -> None:
    """Two running copies destroy the disk."""
    found = outcome.judge(here, there, stock, "node-a", "node-b")
    if found.remedy == outcome.RESUME_THERE:
        assert here.name == "absent"
    if found.remedy == outcome.RESUME_HERE:
        assert there.name == "absent"
        assert here.reason != "user"


def test_a_guest_that_its_owner_paused_stays_paused() -> None:
    """It is not ours to wake."""
    found = outcome.judge(State("paused", "user"), State("absent", ""), 1, "node-a", "node-b")
    assert found.remedy == outcome.NOTHING


def test_virsh_answers() -> None:
    """The words of virsh 9."""
    assert read_state(0, "running (migrated)\n\n", "") == State("running", "migrated")
    assert read_state(0, "shut off (migrated)\n", "").name == "absent"
    assert read_state(1, "", "error: failed to get domain 'one-1'\n").name == "absent"
    assert read_state(1, "", "error: failed to connect to the hypervisor\n").name == "unknown"
    assert read_state(0, "paused (post-copy)\n", "").postcopy


def test_virsh_job() -> None:
    """Figures with their units."""
    text = (
        "Job type:         Completed   \nOperation:        Outgoing migration\nTime elapsed:     1234         ms\n"
        "Data processed:   237.700 MiB\nData remaining:   0.000 B\nTotal downtime:   34           ms\n"
    )
    job = read_job(text)
    assert (job.active, job.elapsed, job.downtime, job.remaining) == (False, 1234, 34, 0)
    assert job.processed == int(237.7 * (1 << 20))
    assert read_job("Job type:         Unbounded\nData processed: 1.5 GiB\n").active
    assert not read_job("Job type:         None\n").active
