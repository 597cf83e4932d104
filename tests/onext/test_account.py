"""Root gives its rights up before it touches what belongs to oneadmin."""

import os
import pwd
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from onext import account
from onext.command import front_end
from onext.part import Context
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


def test_commands_run_as_the_owner_of_our_files(
    tmp_path: Path, became: list[tuple[str, int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """`onext sync` by root would leave keys in the spool that the worker cannot read."""
    nobody = pwd.getpwnam("nobody")
    context = Context(Paths.self_contained(tmp_path))
    context.paths.var.mkdir(parents=True)
    found = list(context.paths.var.stat())
    found[4:6] = nobody.pw_uid, nobody.pw_gid
    monkeypatch.setattr(Path, "stat", lambda _path, **_: os.stat_result(found))

    @click.command()
    @front_end
    def command(_context: Context) -> None:
        click.echo(f"as {os.environ['USER']}")

    assert CliRunner().invoke(command, obj=context).output == "as nobody\n"
    assert ("uid", nobody.pw_uid) in became
