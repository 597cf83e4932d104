"""Files of a node: written whole or not at all, and nothing of an administrator's is touched."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from edge import places
from edge.errors import EdgeError
from edge.places import BEGIN, END, Places


def test_every_file_is_below_the_root(tmp_path: Path) -> None:
    """A test or an image would write the machine's own files."""
    here = Places(str(tmp_path))
    files = [value for name, value in vars(here).items() if name not in ("root", "account")]
    assert all(value.startswith(f"{tmp_path}/") for value in files)
    assert not here.systemd, "systemd is this machine's, which is not meant"
    assert Places().state_file == "/etc/onext-edge/state.json"


def test_systemd_is_told_where_it_runs_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """A node would lose its tunnel at the next boot; a container has no systemd to tell."""
    for there in (True, False):
        monkeypatch.setattr(
            os.path, "isdir", lambda path, there=there: there and path == "/run/systemd/system"
        )
        assert Places().systemd is there
        assert not Places("/image").systemd


def test_the_state_is_kept_for_its_owner(tmp_path: Path) -> None:
    """The state names the session: another user could act as this node. A damaged state counts as missing."""
    here = Places(str(tmp_path))
    assert here.state() is None
    here.keep({"name": "edge-1"})
    assert here.state() == {"name": "edge-1"}
    assert stat.S_IMODE(Path(here.state_file).stat().st_mode) == 0o600
    for text in ("", "[1]", "{", "7"):
        Path(here.state_file).write_text(text)
        assert here.state() is None


def test_a_file_is_written_once_and_whole(tmp_path: Path) -> None:
    """Sshd would be reloaded at each answer; a file of another mode would be read by others, or not by sshd."""
    file = tmp_path / "a/b/file"
    assert places.read(str(file)) == ""
    assert places.write(str(file), "one\n") is True
    assert stat.S_IMODE(file.stat().st_mode) == 0o644
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o755
    assert places.write(str(file), "one\n") is False
    assert places.write(str(file), "two\n", 0o600) is True
    assert (file.read_text(), stat.S_IMODE(file.stat().st_mode)) == ("two\n", 0o600)
    file.write_bytes(b"\xff\n")
    assert places.write(str(file), places.read(str(file)) + "x") is True
    assert file.read_bytes() == b"\xff\nx", "an administrator's bytes stay"
    empty = tmp_path / "empty"
    assert places.write(str(empty), "") is True
    assert empty.exists()
    assert [*file.parent.iterdir()] == [file]


def test_drafts_of_processes_that_ended_are_removed(tmp_path: Path) -> None:
    """One may hold a key; that of a process that writes just now is not."""
    file = tmp_path / "file"
    ended = 2**22 + 1  # above every process id
    alive = tmp_path / f"file.new.{os.getppid()}"
    others = [
        tmp_path / name for name in (f"other.new.{ended}", "file.new.x", "file.new.", f"file.old.{ended}")
    ]
    draft = tmp_path / f"file.new.{ended}"
    for one in (alive, draft, *others):
        one.write_text("key")
    places.write(str(file), "x")
    assert not draft.exists()
    assert all(one.exists() for one in (alive, *others))
    own = tmp_path / f"file.new.{os.getpid()}"  # of an earlier process with this number
    own.write_text("a longer text")
    places.write(str(file), "y")
    assert (file.read_text(), own.exists()) == ("y", False)
    own.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OSError, match="symbolic"):
        places.write(str(file), "z")
    assert not (tmp_path / "elsewhere").exists()
    own.unlink()
    places.remove(str(file))
    places.remove(str(file))
    assert not file.exists()


@pytest.mark.parametrize(
    ("before", "lines", "after"),
    [
        ("", "", ""), ("a\n", "", "a\n"), ("a", "", "a"), ("", "x\n", f"{BEGIN}\nx\n{END}\n"),
        ("a\n", "x\n", f"a\n{BEGIN}\nx\n{END}\n"), ("a", "x\n", f"a\n{BEGIN}\nx\n{END}\n"),
        (f"a\n{BEGIN}\nx\n{END}\nb\n", "", "a\nb\n"), (f"a\n{BEGIN}\nx\n{END}\nb\n", "y\n", f"a\nb\n{BEGIN}\ny\n{END}\n"),
    ],
)  # fmt: skip
def test_a_managed_block(before: str, lines: str, after: str) -> None:
    """/etc/hosts has an administrator's lines, which must survive joining and leaving."""
    assert places.with_block(before, lines) == after


@pytest.mark.parametrize("lines", ["", "y\n"])
def test_a_block_without_its_end_is_left_to_a_person(lines: str) -> None:
    """Everything behind it was removed, an administrator's lines too."""
    for text in (f"a\n{BEGIN}\nx\nb\n", f"{BEGIN}\n{END}"):
        with pytest.raises(EdgeError, match="add that line"):
            places.with_block(text, lines)


@pytest.mark.parametrize(
    ("before", "after"), [(None, "new"), ("", "new"), (" \n", "new"), ("old\n", "old\n")]
)
def test_a_key_is_made_once(tmp_path: Path, before: str | None, after: str) -> None:
    """A second process would replace the key with which the first one joined; an empty file counts as missing."""
    file = tmp_path / "a/key"
    if before is not None:
        file.parent.mkdir()
        file.write_text(before)
    places.create(str(file), "new")
    assert file.read_text() == after
    assert [*file.parent.iterdir()] == [file]
    if before != after:
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
