"""Root gives its rights up before it touches what belongs to oneadmin."""

import os
import pwd
from pathlib import Path

import pytest

from onext import account
from onext.cli import main
from onext.paths import Paths


@pytest.fixture
def became(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, int]]:
    """Return what a process that is root asked the kernel for."""
    asked: list[tuple[str, int]] = []
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(os, "initgroups", lambda _name, gid: asked.append(("groups", gid)))
    monkeypatch.setattr(os, "setgid", lambda gid: asked.append(("gid", gid)))
    monkeypatch.setattr(os, "setuid", lambda uid: asked.append(("uid", uid)))
    for name in ("HOME", "USER"):
        monkeypatch.setenv(name, "root's")
    return asked


def test_root_becomes_the_owner_groups_first(became: list[tuple[str, int]]) -> None:
    """A uid that is given up before the groups leaves root's groups behind."""
    nobody = pwd.getpwnam("nobody")
    account.become(nobody.pw_uid, nobody.pw_gid)
    assert became == [("groups", nobody.pw_gid), ("gid", nobody.pw_gid), ("uid", nobody.pw_uid)]
    assert (os.environ["HOME"], os.environ["USER"]) == (nobody.pw_dir, "nobody")


def test_nobody_else_becomes_anybody(became: list[tuple[str, int]], monkeypatch: pytest.MonkeyPatch) -> None:
    """A user's own front-end must go on working as that user."""
    account.become(0, 0)
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    account.become(65534, 65534)
    assert became == []


def test_S2_root_becomes_the_account_whatever_the_owner_of_a_path(
    tmp_path: Path, became: list[tuple[str, int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A link of oneadmin's to a folder of root's kept `onext stop power` root, and it wrote there as root."""
    nobody = pwd.getpwnam("nobody")
    monkeypatch.setattr(pwd, "getpwnam", lambda name: {"oneadmin": nobody}[name])
    paths = Paths.packaged(tmp_path)  # everything in it is root's, also what should be oneadmin's
    paths.var.mkdir(parents=True)
    account.become_service(paths)
    assert became == [("groups", nobody.pw_gid), ("gid", nobody.pw_gid), ("uid", nobody.pw_uid)]


def test_S2_every_command_switches_before_anything_is_read(
    became: list[tuple[str, int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A command that reads the settings or a list first has followed oneadmin's link as root already."""
    nobody = pwd.getpwnam("nobody")
    monkeypatch.setattr(pwd, "getpwnam", lambda name: {"oneadmin": nobody}[name])
    monkeypatch.delenv("ONE_LOCATION", raising=False)
    seen: list[bool] = []
    monkeypatch.setattr(main, "cli", lambda: seen.append(("uid", nobody.pw_uid) in became))
    main.main()
    assert seen == [True]


def test_S2_a_front_end_without_the_account_is_refused(
    tmp_path: Path, became: list[tuple[str, int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without the account there is nobody to switch to, and staying root is what must not happen."""
    monkeypatch.setattr(pwd, "getpwnam", {}.__getitem__)
    paths = Paths.packaged(tmp_path)
    account.become_service(paths)  # no front-end: a workstation
    paths.etc.mkdir(parents=True)
    (paths.etc / "oned.conf").touch()
    with pytest.raises(account.NoAccount, match="no account oneadmin"):
        account.become_service(paths)
    assert became == []


def test_root_in_a_self_contained_front_end_becomes_its_owner(
    tmp_path: Path, became: list[tuple[str, int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Root's `onext sync` would leave keys in the spool that the worker of ONE_LOCATION cannot read."""
    nobody = pwd.getpwnam("nobody")
    found = list(tmp_path.stat())
    found[4:6] = nobody.pw_uid, nobody.pw_gid
    monkeypatch.setattr(Path, "stat", lambda _path, **_: os.stat_result(found))
    account.become_service(Paths.self_contained(tmp_path))
    assert ("uid", nobody.pw_uid) in became
