"""How a migration is ended: through libvirt where it answers, by force after a while, and never in post-copy."""

import signal
import subprocess
from types import SimpleNamespace
from typing import Any

import pytest

from drivers.vmm.migrate.onext_migrate import guard, virsh
from drivers.vmm.migrate.onext_migrate.migration import Migration
from drivers.vmm.migrate.onext_migrate.settings import Settings
from drivers.vmm.migrate.onext_migrate.virsh import Job, State

RUNNING, POSTCOPY, SILENT = State("running", ""), State("paused", "post-copy"), State("unknown", "time-out")


@pytest.fixture
def migration() -> Migration:
    """Return a migration of one-1, whose tunnel nobody asks."""
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
    """A virsh that is killed too early leaves a guest behind on the destination; in post-copy it loses the guest."""
    did: list[str] = []
    monkeypatch.setattr(virsh, "state", lambda *_: state)
    monkeypatch.setattr(virsh, "job", lambda *_: job)
    monkeypatch.setattr(virsh, "abort", lambda *_: did.append("abort"))
    monkeypatch.setattr(guard, "stop", lambda _: did.append("stop"))
    process: Any = SimpleNamespace(pid=1)
    migration._abort(process, overdue)
    assert did == ([done] if done else [])


@pytest.mark.parametrize(("state", "maybe"), [(RUNNING, False), (POSTCOPY, True), (SILENT, True)])
def test_doubt_is_taken_for_post_copy(
    migration: Migration, monkeypatch: pytest.MonkeyPatch, state: State, maybe: bool
) -> None:
    """A libvirt that does not answer is no licence to end what may be the guest's only memory."""
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
        migration._hurry(Job(active=True, elapsed=elapsed))
        left.append(len(answers))
    assert left == [2, 2, 1, 0, 0]


@pytest.mark.process
def test_a_fault_of_ours_ends_the_driver(migration: Migration, monkeypatch: pytest.MonkeyPatch) -> None:
    """OpenNebula's own migrate had ended, and the driver waited for its own child for ever."""
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
