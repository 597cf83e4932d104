"""An uninstall with hosts that onext has switched off."""

import json
from pathlib import Path

import pytest

from onext.install import hosts_off, registration
from onext.install.front_end import FrontEnd, InstallError
from onext.oned.errors import OnedError

from .conftest import self_contained, write

pytestmark = pytest.mark.process
OFF = [
    {
        "id": 3,
        "name": "node-c",
        "cluster": 100,
        "phase": "off",
        "since": "2026-11-28T10:00:00Z",
        "verified": True,
    }
]
ONEXT = """#!/bin/sh
echo "$*" >>{log}
case "$*" in
    "power asleep --json") cat {answer} ;;
    *) exit {code} ;;
esac
"""


class Oned:
    def __init__(self, acts: bool) -> None:
        self.acts = acts

    def raft(self) -> "Oned":
        return self


@pytest.fixture
def front_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FrontEnd:
    """Return a front-end whose `onext` lists one host, and whose oned leads."""
    found = self_contained(tmp_path / "one")
    write(found.paths.lib / "versions/1/parts/hooks/power/part.py", "")
    (found.paths.lib / "current").symlink_to("versions/1")
    command(tmp_path, found, json.dumps(OFF))
    monkeypatch.setattr(registration, "connect", lambda _: Oned(acts=True))
    return found


def command(tmp_path: Path, front_end: FrontEnd, answer: str, code: int = 0) -> None:
    write(tmp_path / "answer", answer)
    text = ONEXT.format(log=tmp_path / "log", answer=tmp_path / "answer", code=code)
    write(front_end.paths.bin / "onext", text, 0o755)


def test_A5_hosts_are_woken_before_anything_is_removed(front_end: FrontEnd, tmp_path: Path) -> None:
    """An uninstall left hosts OFFLINE and off, with nothing there that could wake them."""
    assert hosts_off.require_in_service(front_end, leave=False) == []
    assert (tmp_path / "log").read_text().splitlines() == [
        "power asleep --json",
        "power wake --all --within 900",
    ]


def test_A5_a_host_that_does_not_wake_ends_the_uninstall(front_end: FrontEnd, tmp_path: Path) -> None:
    """Only what is still installed can try again."""
    command(tmp_path, front_end, json.dumps(OFF), code=1)
    with pytest.raises(InstallError, match="nothing was removed: not every host is in service"):
        hosts_off.require_in_service(front_end, leave=False)


def test_A5_left_off_on_purpose_with_instructions_for_each(front_end: FrontEnd, tmp_path: Path) -> None:
    """Whoever leaves hosts off learns how each comes back without onext."""
    (line,) = hosts_off.require_in_service(front_end, leave=True)
    assert line.startswith("host 3 node-c stays off")
    assert line.endswith("onehost enable node-c")
    assert "wake" not in (tmp_path / "log").read_text()


def test_A5_check_tells_what_an_uninstall_would_do(front_end: FrontEnd) -> None:
    """An administrator sees the consequence before the command."""
    assert hosts_off.summary(front_end) == "wakes 1 hosts first: 3 node-c"


@pytest.mark.parametrize("answer", ["not JSON", '[{"id": "x"}]', '{"id": 1}', "[1]"])
def test_A5_what_is_not_known_ends_the_uninstall(front_end: FrontEnd, tmp_path: Path, answer: str) -> None:
    """In doubt nothing is removed where power is in use."""
    command(tmp_path, front_end, answer)
    write(front_end.paths.settings, "power: {clusters: [100]}\n", 0o640)
    with pytest.raises(InstallError, match="nothing was removed: which hosts are off"):
        hosts_off.require_in_service(front_end, leave=False)
    (line,) = hosts_off.require_in_service(front_end, leave=True)
    assert "OFFLINE hosts of `onehost list`" in line


def test_A5_with_oned_down_power_decides(front_end: FrontEnd, monkeypatch: pytest.MonkeyPatch) -> None:
    """A front-end that never switched a host off can be cleaned up with oned gone; another cannot."""

    def down(_: FrontEnd) -> Oned:
        raise OnedError("oned does not answer")

    monkeypatch.setattr(registration, "connect", down)
    assert len(hosts_off.require_in_service(front_end, leave=False)) == 1
    write(front_end.paths.settings, "power: {clusters: [100]}\n", 0o640)
    with pytest.raises(InstallError, match="oned does not answer"):
        hosts_off.require_in_service(front_end, leave=False)


def test_A5_a_follower_leaves_hosts_to_the_zone(
    front_end: FrontEnd, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One server of a zone that is taken out must not wake every host: the leader goes on."""
    monkeypatch.setattr(registration, "connect", lambda _: Oned(acts=False))
    assert hosts_off.require_in_service(front_end, leave=False) == []
    assert not (tmp_path / "log").exists()
