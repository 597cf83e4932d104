"""`onext doctor` on the zone's other servers, over an ssh that is played."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from onext import process, ssh
from onext.cli import servers
from onext.install import locked
from onext.oned.client import Oned
from onext.part import Context
from onext.paths import Paths
from onext.xml import Element, parse

HOSTS = ("one-a", "one-b", "one-c")
VERSION = "1.0+abc"


class Oned3:
    """A zone of three servers, of which this is the first."""

    def document(self, method: str, *_arguments: object) -> Element:
        """Answer what knows the zone."""
        if method == "system.config":
            return parse("<OPENNEBULA_CONFIGURATION><FEDERATION/></OPENNEBULA_CONFIGURATION>")
        pool = "".join(
            f"<SERVER><ID>{n}</ID><NAME>{h}</NAME><ENDPOINT>http://{h}:2633/RPC2</ENDPOINT></SERVER>"
            for n, h in enumerate(HOSTS)
        )
        return parse(f"<ZONE><SERVER_POOL>{pool}</SERVER_POOL></ZONE>")

    def raft(self) -> SimpleNamespace:
        """Be the first."""
        return SimpleNamespace(server_id=0)


def row(check: str, state: str, message: str) -> dict[str, str]:
    """Return a line as `onext doctor --json` prints it."""
    return {"check": check, "state": state, "message": message, "remedy": ""}


def found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, answers: Mapping[str, tuple[int, str] | None]
) -> dict[str, tuple[str, str]]:
    """Return level and message for each server; None is one that is not reached."""
    context = Context(Paths.self_contained(tmp_path))
    (context.paths.lib / "versions" / VERSION).mkdir(parents=True)
    context.paths.current.symlink_to(f"versions/{VERSION}")
    context.__dict__["oned"] = cast("Oned", Oned3())

    def run(host: str, words: Sequence[str], **_: object) -> process.Completed:
        assert words[-3:] == ["doctor", "--local", "--json"]
        answer = answers[host]
        if answer is None:
            return process.Completed(("ssh",), 255, b"", b"No route to host\n")
        return process.Completed(("ssh",), answer[0], answer[1].encode(), b"")

    monkeypatch.setattr(ssh, "run", run)
    return {check.name: (check.level, check.message) for check in servers.findings(context)}


def test_every_other_server_is_asked_what_it_finds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The next leader lacks what this one has, and nobody knows before it leads."""
    well = json.dumps([row("oned", "ok", "7.0.2"), row("version", "ok", VERSION)])
    ill = json.dumps([row("worker", "fail", "does not run"), row("version", "ok", "0.9")])
    said = found(tmp_path, monkeypatch, {"one-b": (0, well), "one-c": (1, ill)})
    assert said == {
        "server one-b": ("ok", f"all well there, version {VERSION}"),
        "server one-c": ("fail", "worker: does not run"),
    }


def test_silence_and_another_version_are_not_well(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that was forgotten at an upgrade, or never had the bundle, passes for a good one."""
    old = json.dumps([row("version", "ok", "0.9")])
    said = found(tmp_path, monkeypatch, {"one-b": (0, old), "one-c": None})
    assert said["server one-b"] == ("fail", f"version 0.9; here {VERSION}")
    assert said["server one-c"] == ("warn", "not checked: No route to host")
    bare = found(tmp_path / "2", monkeypatch, {"one-b": (127, ""), "one-c": (0, '{"a": 1}')})
    assert [level for level, _ in bare.values()] == ["fail", "fail"]


def test_other_packages_on_another_server_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same version with other packages behaves otherwise on the next leader, and nobody knows why."""
    home = tmp_path / "lib/onext/versions" / VERSION
    home.mkdir(parents=True)
    (home / locked.STAMP).write_text('{"click": "8.1"}')
    here = locked.summary(home)
    (home / locked.STAMP).rename(tmp_path / "stamp")
    home.rmdir()
    monkeypatch.setattr(locked, "summary", lambda _: here)
    same = json.dumps([row("version", "ok", VERSION), row("packages", "ok", here)])
    other = json.dumps([row("version", "ok", VERSION), row("packages", "ok", "1 as locked, set 0123")])
    said = found(tmp_path, monkeypatch, {"one-b": (0, same), "one-c": (0, other)})
    assert said["server one-b"] == ("ok", f"all well there, version {VERSION}")
    assert said["server one-c"] == ("fail", f"packages 1 as locked, set 0123; here {here}")
