"""How a migration is ended: through libvirt where it answers, by force after a while, and never in post-copy."""

import errno
import os
import signal
import subprocess
import tempfile
import time
from types import SimpleNamespace
from typing import IO, Any

import pytest

from drivers.vmm.migrate.onext_migrate import orphan_guard, processes, virsh
from drivers.vmm.migrate.onext_migrate.migration import Migration, _downtime
from drivers.vmm.migrate.onext_migrate.opennebula_script import payload
from drivers.vmm.migrate.onext_migrate.settings import Settings
from drivers.vmm.migrate.onext_migrate.virsh import Job, State
from tests.waiting import PATIENCE

RUNNING, POSTCOPY, SILENT = State("running", ""), State("paused", "post-copy"), State("unknown", "time-out")


@pytest.fixture
def migration() -> Migration:
    """Return a migration of one-1, whose tunnel is not asked."""
    action: Any = SimpleNamespace(domain="one-1", source="node-a", destination="node-b", shared=True)
    tunnel: Any = None
    node: Any = SimpleNamespace(uri="qemu:///system", kvmrc={})
    return Migration(action, Settings(postcopy_after=3), tunnel, node)


@pytest.mark.parametrize(
    ("state", "job", "overdue", "done"),
    [
        (RUNNING, Job(active=True), False, "abort"),
        (RUNNING, Job(active=True), True, "stop"),  # libvirt is told to abort, and hangs in a connect
        (RUNNING, Job(active=False), False, ""),  # snapshots are copied, or the clean-up runs
        (RUNNING, Job(active=False), True, "stop"),
        (SILENT, None, False, ""),
        (SILENT, None, True, "stop"),
        (POSTCOPY, Job(active=True), False, ""),
        (POSTCOPY, Job(active=True), True, ""),
    ],
)
def test_ending(
    migration: Migration,
    monkeypatch: pytest.MonkeyPatch,
    state: State,
    job: Job | None,
    overdue: bool,
    done: str,
) -> None:
    """A virsh that is killed too early leaves a VM behind on the destination; in post-copy it loses the VM."""
    did: list[str] = []
    monkeypatch.setattr(virsh, "state", lambda *_: state)
    monkeypatch.setattr(virsh, "job", lambda *_: job)
    monkeypatch.setattr(virsh, "abort", lambda *_: did.append("abort"))
    monkeypatch.setattr(orphan_guard, "stop", lambda _: did.append("stop"))
    process: Any = SimpleNamespace(pid=1)
    migration._abort(process, overdue)
    assert did == ([done] if done else [])


@pytest.mark.parametrize(("state", "maybe"), [(RUNNING, False), (POSTCOPY, True), (SILENT, True)])
def test_doubt_is_taken_for_post_copy(
    migration: Migration, monkeypatch: pytest.MonkeyPatch, state: State, maybe: bool
) -> None:
    """A libvirt that does not answer is not a licence to end what may be the VM's only memory."""
    monkeypatch.setattr(virsh, "state", lambda *_: state)
    assert migration._postcopy() is maybe


def test_post_copy_is_asked_for_until_libvirt_says_yes(
    migration: Migration, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The time-out of virsh asks once, and never again where the stream has not begun by then."""
    answers = [False, True]
    monkeypatch.setattr(virsh, "postcopy", lambda *_: answers.pop(0))
    left = []
    for elapsed in (None, 2900, 3000, 4000, 5000):
        migration._start_postcopy_when_due(Job(active=True, elapsed=elapsed))
        left.append(len(answers))
    assert left == [2, 2, 1, 0, 0]


@pytest.mark.process
def test_a_fault_of_ours_ends_the_driver(migration: Migration, monkeypatch: pytest.MonkeyPatch) -> None:
    """OpenNebula's own migrate had ended, and the driver waited for its own child without an end."""
    child = subprocess.Popen(["true"], start_new_session=True)

    def fail(_: object) -> None:
        raise RuntimeError("a fault of ours")

    monkeypatch.setattr(signal, "signal", lambda *_: None)
    monkeypatch.setattr(migration, "_tunnel", SimpleNamespace(name="oxt"))
    monkeypatch.setattr(migration, "_obstacle", lambda: False)
    monkeypatch.setattr(migration, "_start", lambda: child)
    monkeypatch.setattr(migration, "_watch", fail)
    monkeypatch.setattr(virsh, "state", lambda *_: RUNNING)
    monkeypatch.setattr(virsh, "job", lambda *_: None)
    with pytest.raises(RuntimeError, match="a fault of ours"):
        migration.run()
    assert child.returncode == 0


THERE = State("running", "migrated")
ABSENT = State("absent", "")


@pytest.mark.parametrize(
    ("state", "ends"), [(RUNNING, True), (ABSENT, False), (POSTCOPY, False), (SILENT, False)]
)
def test_A3_told_to_end(
    migration: Migration, monkeypatch: pytest.MonkeyPatch, state: State, ends: bool
) -> None:
    """After the VM has left, OpenNebula's script copies its snapshots: "stays on A" was false then."""
    monkeypatch.setattr(virsh, "state", lambda *_: state)
    migration._tell_to_end()
    migration._end_as_told()
    assert bool(migration._stopped) == ends


def test_A3_nothing_is_killed_after_the_vm_has_left(
    migration: Migration, monkeypatch: pytest.MonkeyPatch
) -> None:
    """OpenNebula's script is at work, for as long as its copies take."""
    monkeypatch.setattr(virsh, "state", lambda *_: ABSENT)
    monkeypatch.setattr(orphan_guard, "stop", lambda _: pytest.fail("the script was killed"))
    process: Any = SimpleNamespace(pid=1)
    migration._abort(process, overdue=True)
    stopped: list[int] = []
    monkeypatch.setattr(orphan_guard, "stop", stopped.append)
    orphan_guard.guard(os.getpgrp(), "one-1")
    assert stopped == []


@pytest.mark.parametrize(
    ("there", "obstacle", "line"),
    [
        (ABSENT, False, ""),
        (THERE, True, "node-b has a VM one-1 already (running)"),
        (SILENT, True, "libvirt on node-b does not answer"),
    ],
)
def test_A2_what_is_on_the_destination_before(
    migration: Migration,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    there: State,
    obstacle: bool,
    line: str,
) -> None:
    """A VM that was there before is not the one that arrives: OpenNebula's script would destroy it."""
    monkeypatch.setattr(migration, "_state_there", lambda: there)
    assert migration._obstacle() is obstacle
    assert line in capfd.readouterr().err


@pytest.mark.parametrize("refuse", [True, False])
def test_B1_a_job_without_our_virsh(
    migration: Migration, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], refuse: bool
) -> None:
    """Where the tunnel is required, a migration beside it ends at once, and else it is reported once."""
    stopped: list[int] = []
    monkeypatch.setattr(orphan_guard, "stop", stopped.append)
    monkeypatch.setattr(virsh, "abort", lambda *_: True)
    monkeypatch.setattr(processes, "runs_virsh_migrate", lambda _: True)
    migration._settings = Settings(require=refuse)
    for _ in range(3):
        migration._check_wrapper(77)
    assert stopped == ([77] if refuse else [])
    assert capfd.readouterr().err.count("called another virsh") == 1


@pytest.mark.parametrize(
    ("milliseconds", "text"),
    [(341, "down-time 341 ms"), (3600341, "down-time unknown"), (None, "down-time unknown")],
)
def test_B4_downtime(milliseconds: int | None, text: str) -> None:
    """No VM pauses for longer than its migration took: the hosts' clocks differ."""
    assert _downtime(milliseconds, 3.0) == text


@pytest.mark.process
def test_B1_a_virsh_beside_the_wrapper_is_seen() -> None:
    """By its name among what OpenNebula's script started; the wrapper is an interpreter."""
    assert not processes.runs_virsh_migrate(os.getpid())
    with subprocess.Popen(
        ["bash", "-c", "exec -a /usr/bin/virsh bash -c 'sleep 9; :' migrate"]
    ) as virsh_itself:
        until = time.monotonic() + PATIENCE
        while not processes.runs_virsh_migrate(os.getpid()) and time.monotonic() < until:
            time.sleep(0.01)
        assert processes.runs_virsh_migrate(os.getpid())
        virsh_itself.kill()


def test_a_full_disk_is_no_reason_not_to_migrate(monkeypatch: pytest.MonkeyPatch) -> None:
    """The action's XML takes a file without a name: in memory where the disk has no room."""
    real = tempfile.TemporaryFile

    def full(dir: str | None = None) -> IO[bytes]:  # noqa: A002
        if dir is None:
            raise OSError(errno.ENOSPC, "No space left on device")
        return real(dir=dir)

    monkeypatch.setattr(tempfile, "TemporaryFile", full)
    with payload(b"<X/>") as file:
        assert file.read() == b"<X/>"
