"""What install.sh says of the nodes: which have an old driver, in the words of `onext tunnel drivers`."""

import json
from collections.abc import Sequence

import pytest

from onext import process
from onext.install import nodes
from onext.install.front_end import FrontEnd

from .conftest import self_contained

STALE = [
    {"state": "warn", "message": "OFFLINE, not checked: 1 host: n1", "remedy": "onehost sync --force"},
    {"state": "ok", "message": "the one of remotes/ on 2 hosts", "remedy": ""},
]


@pytest.fixture
def front_end(tmp_path_factory: pytest.TempPathFactory) -> FrontEnd:
    return self_contained(tmp_path_factory.mktemp("one"))


def answer(monkeypatch: pytest.MonkeyPatch, stdout: bytes) -> None:
    def run(argv: Sequence[str], **_: object) -> process.Completed:
        assert list(argv)[1:] == ["tunnel", "drivers", "--json"]
        return process.Completed(tuple(argv), 1, stdout, b"")

    monkeypatch.setattr(process, "run", run)


def test_old_drivers_are_named(front_end: FrontEnd, monkeypatch: pytest.MonkeyPatch) -> None:
    """A host that slept through the last sync migrates in the clear until somebody sees it."""
    answer(monkeypatch, json.dumps(STALE).encode())
    due, told = nodes.left(front_end, changed=False)
    assert "onehost sync --force" in due
    assert "n1" in told
    assert [(one.name, one.level) for one in nodes.checks(front_end)] == [("nodes", "warn"), ("nodes", "ok")]


def test_nothing_is_left_where_all_have_it(front_end: FrontEnd, monkeypatch: pytest.MonkeyPatch) -> None:
    """People ignore a line that is always printed."""
    answer(monkeypatch, json.dumps(STALE[1:]).encode())
    assert nodes.left(front_end, changed=False) == []


def test_with_oned_down_a_changed_driver_is_enough(
    front_end: FrontEnd, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who can be asked is not known then; that a sync is due is."""
    answer(monkeypatch, b"")
    assert nodes.left(front_end, changed=False) == []
    assert len(nodes.left(front_end, changed=True)) == 1
