"""Where the VM is, and what OpenNebula is told."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.vmm.migrate.onext_migrate import outcome
from drivers.vmm.migrate.onext_migrate.virsh import State, read_job, read_state

NAMES = ["running", "idle", "paused", "absent", "unknown", "crashed"]
STATES = st.builds(
    State, st.sampled_from(NAMES), st.sampled_from(["", "user", "migrating", "post-copy", "post-copy failed"])
)


def run(stock: int, *, local: bool = False, snapshots: bool = False) -> outcome.Run:
    """Return how OpenNebula's own migrate ended."""
    return outcome.Run(stock, "node-a", "node-b", local, snapshots)


@pytest.mark.parametrize(
    ("here", "there", "stock", "code", "remedy"),
    [
        ("absent", "running", 0, 0, outcome.NOTHING),
        ("absent", "running", 1, 0, outcome.NOTHING),  # OpenNebula's fails after a success (SYNC_TIME)
        ("running", "absent", 0, 1, outcome.NOTHING),
        ("running", "absent", 3, 3, outcome.NOTHING),
        ("running", "paused", 1, 1, outcome.ASK_AGAIN),
        ("running", "unknown", 1, 1, outcome.NOTHING),
        ("paused", "absent", -9, 1, outcome.RESUME_HERE),
        ("paused", "running", 1, 0, outcome.REMOVE_HERE),
        ("paused", "unknown", 1, 1, outcome.NOTHING),
        ("unknown", "paused", 0, 1, outcome.ASK_AGAIN),
        ("unknown", "absent", 0, 1, outcome.NOTHING),
        ("absent", "unknown", 0, 1, outcome.ASK_AGAIN),
        ("absent", "absent", 0, 1, outcome.NOTHING),
        ("running", "running", 0, 1, outcome.NOTHING),
    ],
)
def test_truth(here: str, there: str, stock: int, code: int, remedy: str) -> None:
    """OpenNebula acts on the exit code: a wrong one loses the VM, or starts a second."""
    found = outcome.judge(State(here, ""), State(there, ""), run(stock))
    assert (found.exit_code, found.remedy) == (code, remedy)


@pytest.mark.parametrize(
    ("stock", "local", "snapshots", "code", "remedy"),
    [
        (0, False, False, 0, outcome.NOTHING),  # a person had suspended it
        (1, False, False, 0, outcome.NOTHING),
        (0, True, True, 0, outcome.RESUME_THERE),  # OpenNebula resumes, and ignores when that fails
        (1, True, False, 0, outcome.RESUME_THERE),  # all is there; its script was ended
        (1, True, True, 1, outcome.NOTHING),  # the snapshots are on the source only
        (-9, True, True, 1, outcome.NOTHING),
    ],
)
def test_A3_A4_paused_on_the_destination(
    stock: int, local: bool, snapshots: bool, code: int, remedy: str
) -> None:
    """Exit code 0 lets OpenNebula delete the source with its snapshots; a resume runs what a person suspended."""
    found = outcome.judge(
        State("absent", ""), State("paused", "user"), run(stock, local=local, snapshots=snapshots)
    )
    assert (found.exit_code, found.remedy) == (code, remedy)


@pytest.mark.parametrize("name", ["crashed", "shut off"])
def test_paused_there_and_dead_here_is_for_a_person(name: str) -> None:
    """Success would have OpenNebula delete the source's disks, and show a VM as running that is paused."""
    found = outcome.judge(State(name, ""), State("paused", "user"), run(0, local=True))
    assert (found.exit_code, found.remedy) == (1, outcome.NOTHING)
    assert name in found.message


@given(STATES, STATES, st.integers(-15, 255), st.booleans(), st.booleans())
def test_success_is_never_claimed_for_a_vm_that_runs_here(
    here: State, there: State, stock: int, local: bool, snapshots: bool
) -> None:
    """Exit code 0 makes OpenNebula clean up the source."""
    found = outcome.judge(here, there, run(stock, local=local, snapshots=snapshots))
    assert 0 <= found.exit_code <= 255
    if found.exit_code == 0 and found.remedy == outcome.NOTHING:
        assert there.name in ("running", "idle") or (there.name == "paused" and not local)
        assert here.name not in ("running", "idle", "paused")
        assert "post-copy" not in here.reason + there.reason
        assert not there.incoming


@given(STATES, STATES, st.integers(-15, 255), st.booleans(), st.booleans())
def test_only_one_side_is_ever_resumed_or_removed(
    here: State, there: State, stock: int, local: bool, snapshots: bool
) -> None:
    """Two running copies destroy the disk; none is the end of the VM."""
    found = outcome.judge(here, there, run(stock, local=local, snapshots=snapshots))
    if found.remedy == outcome.RESUME_THERE:
        assert here.name == "absent"
    if found.remedy == outcome.RESUME_HERE:
        assert there.name == "absent"
        assert here.reason != "user"
    if found.remedy == outcome.REMOVE_HERE:
        assert there.name in ("running", "idle", "paused")
        assert here.name == "paused"
        assert "post-copy" not in here.reason + there.reason
        assert not there.incoming


def test_a_vm_that_its_owner_paused_stays_paused() -> None:
    """It is not ours to wake."""
    found = outcome.judge(State("paused", "user"), State("absent", ""), run(1))
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
    assert not read_job("Job type:  Unbounded\nOperation:  Backup\n").active, "a backup is not aborted"


def test_B4_downtime_with_clocks_that_differ() -> None:
    """With clocks an hour apart "down-time 3600341 ms" was reported: libvirt's other figure is without them."""
    text = "Job type: Completed\nTotal downtime: 3600341 ms\nDowntime w/o network: 338 ms\n"
    assert read_job(text).downtime == 338


@pytest.mark.parametrize("broken", [False, True])
@pytest.mark.parametrize("here", [False, True])
def test_post_copy_is_waited_for_until_it_breaks(here: bool, broken: bool) -> None:
    """Half of the memory is on either host: a remedy on one side is the end of the VM."""
    halves = State("paused", "post-copy failed" if broken else "post-copy"), State("running", "")
    found = outcome.judge(*(halves if here else halves[::-1]), run(0))
    assert (found.exit_code, found.remedy) == (1, outcome.NOTHING if broken else outcome.ASK_AGAIN)
    assert ("broke off" in found.message) == broken


@pytest.mark.parametrize(("code", "migrated"), [(0, True), (1, False), (-1, False)])
def test_only_exit_code_0_is_a_migration(code: int, migrated: bool) -> None:
    """After another one nothing is accounted for as arrived."""
    assert outcome.Outcome(code, "").migrated is migrated


@pytest.mark.parametrize(("reason", "shown"), [("destroyed", "destroyed"), ("", "gone")])
def test_a_vm_that_is_on_neither_host_is_reported_with_what_libvirt_knows(reason: str, shown: str) -> None:
    """Whoever looks for a lost VM begins with why it ended."""
    found = outcome.judge(State("crashed", reason), State("absent", ""), run(0))
    assert found.message == f"the VM is neither on node-a ({shown}) nor on node-b"
