"""Who builds and who tears down."""

import errno
import fcntl
import os
from pathlib import Path

import pytest

from drivers.vmm.migrate.onext_migrate import refcount
from drivers.vmm.migrate.onext_migrate.errors import TunnelError, UnsafeError
from drivers.vmm.migrate.onext_migrate.refcount import Refcount, ensure_folder, users


@pytest.fixture
def folder(tmp_path: Path) -> str:
    """Return the folder of locks, not made yet."""
    return str(tmp_path / "locks")


def test_first_builds_last_tears_down(folder: str) -> None:
    """The reference's second migration deleted the tunnel under its first."""
    done: list[str] = []
    first, second = Refcount("oxt0", folder), Refcount("oxt0", folder)
    assert first.acquire(lambda: done.append("built"))
    assert not second.acquire(lambda: done.append("built twice"))
    assert users("oxt0", folder)
    assert not first.release(lambda: done.append("gone too early"))
    assert second.release(lambda: done.append("gone"))
    assert done == ["built", "gone"]
    assert not users("oxt0", folder)
    assert [path.name for path in Path(folder).iterdir()] == ["mutex"]


def test_a_failed_build_leaves_no_lease(folder: str) -> None:
    """A tunnel that could not be built would look used without an end."""

    def fail() -> None:
        raise TunnelError("no")

    with pytest.raises(TunnelError, match="no"):
        Refcount("oxt0", folder).acquire(fail)
    assert not users("oxt0", folder)
    assert [path.name for path in Path(folder).iterdir()] == ["mutex"]
    assert Refcount("oxt0", folder).acquire(lambda: None)


def test_giving_back_twice(folder: str) -> None:
    """Error paths meet."""
    lease = Refcount("oxt0", folder)
    assert not lease.release(lambda: None)
    lease.acquire(lambda: None)
    assert lease.release(lambda: None)
    assert not lease.release(lambda: None)


@pytest.mark.parametrize("trap", ["0777", "0701", "0740", "a link", "a file"])
def test_a_folder_that_somebody_else_made(tmp_path: Path, folder: str, trap: str) -> None:
    """Anybody may write to /var/tmp."""
    if trap == "a link":
        (tmp_path / "theirs").mkdir(mode=0o700)
        (tmp_path / "locks").symlink_to("theirs")
    elif trap == "a file":
        (tmp_path / "locks").touch(mode=0o600)
    else:
        (tmp_path / "locks").mkdir()
        (tmp_path / "locks").chmod(int(trap, 8))
    with pytest.raises(TunnelError, match="mode 0700"):
        Refcount("oxt0", folder).acquire(lambda: None)


def test_a_folder_of_another_account(folder: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its owner could remove the locks, and tear a tunnel down under a migration."""
    Path(folder).mkdir(mode=0o700)
    monkeypatch.setattr(os, "geteuid", lambda: 4711)
    with pytest.raises(UnsafeError, match="it must be a folder of uid 4711"):
        ensure_folder(folder)


def test_a_mutex_that_is_held_is_not_waited_for_without_an_end(
    folder: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process that was stopped while it held the lock would block every migration of the host."""
    ensure_folder(folder)
    monkeypatch.setattr(refcount, "_PATIENCE", 0.05)
    with (Path(folder) / "mutex").open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        with pytest.raises(TunnelError, match=r"mutex: held by another process for 0\.05 s"):
            Refcount("oxt0", folder).acquire(lambda: None)


def test_a_lock_that_the_kernel_refuses_is_an_error(folder: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A lock "in use" would be waited for, on a file system without locks for ever."""

    def refuse(_descriptor: int, _how: int) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", refuse)
    with pytest.raises(OSError, match="No locks available"):
        Refcount("oxt0", folder).acquire(lambda: None)
