"""Who builds and who tears down."""

from pathlib import Path

import pytest

from drivers.vmm.migrate.onext_migrate.errors import TunnelError
from drivers.vmm.migrate.onext_migrate.refcount import Refcount, users


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
    assert Refcount("oxt0", folder).acquire(lambda: None)


def test_giving_back_twice(folder: str) -> None:
    """Error paths meet."""
    lease = Refcount("oxt0", folder)
    assert not lease.release(lambda: None)
    lease.acquire(lambda: None)
    assert lease.release(lambda: None)
    assert not lease.release(lambda: None)


@pytest.mark.parametrize("trap", ["open to all", "a link"])
def test_a_folder_that_somebody_else_made(tmp_path: Path, folder: str, trap: str) -> None:
    """Anybody may write to /var/tmp."""
    if trap == "a link":
        (tmp_path / "theirs").mkdir(mode=0o700)
        (tmp_path / "locks").symlink_to("theirs")
    else:
        (tmp_path / "locks").mkdir()
        (tmp_path / "locks").chmod(0o777)
    with pytest.raises(TunnelError, match="mode 0700"):
        Refcount("oxt0", folder).acquire(lambda: None)
