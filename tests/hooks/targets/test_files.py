"""The files of file_sd: whole, only on change, readable by Prometheus."""

from __future__ import annotations

import fcntl
import json
import os
import threading
from itertools import count
from pathlib import Path

import pytest

from hooks.targets import files
from hooks.targets.decide import Decision, Target


def decision(*addresses: str) -> Decision:
    return Decision(
        ("vms", "hosts-node_exporter"), tuple(Target("vms", a, {"x": "é"}) for a in addresses), ()
    )


def write(folder: Path, given: Decision) -> list[str]:
    """Write with a lock beside the folder."""
    return files.write(folder, given, folder.parent / f"{folder.name}-state" / "lock")


def test_files_hold_what_was_decided(tmp_path: Path) -> None:
    """An empty job is `[]`: a deleted or empty file does not drop targets."""
    assert write(tmp_path / "t", decision("10.0.0.1:1")) == ["vms", "hosts-node_exporter"]
    assert json.loads((tmp_path / "t/vms.json").read_text()) == [
        {"targets": ["10.0.0.1:1"], "labels": {"x": "é"}}
    ]
    assert json.loads((tmp_path / "t/hosts-node_exporter.json").read_text()) == []
    assert (tmp_path / "t/vms.json").stat().st_mode & 0o777 == 0o644


def test_only_what_changed_is_written(tmp_path: Path) -> None:
    """Each rename makes Prometheus read the file again."""
    write(tmp_path, decision("10.0.0.1:1"))
    before = (tmp_path / "vms.json").stat()
    assert write(tmp_path, decision("10.0.0.1:1")) == []
    assert (tmp_path / "vms.json").stat().st_ino == before.st_ino
    assert write(tmp_path, decision("10.0.0.2:1")) == ["vms"]


def test_a_job_that_was_switched_off_is_emptied(tmp_path: Path) -> None:
    """Else Prometheus goes on with targets that nobody wants."""
    (tmp_path / "hosts-old.json").write_text('[{"targets": ["a:1"]}]')
    write(tmp_path, decision())
    assert json.loads((tmp_path / "hosts-old.json").read_text()) == []


def test_readers_never_see_a_torn_file(tmp_path: Path) -> None:
    """Two writers and a reader at once: every read is whole JSON."""
    write(tmp_path, decision())
    done = threading.Event()

    def alternate(seed: int) -> None:
        for turn in count(1):
            write(tmp_path, decision(*(f"10.{seed}.0.{n}:1" for n in range(turn % 60))))
            if turn >= 60 and done.is_set():
                return

    writers = [threading.Thread(target=alternate, args=(seed,)) for seed in (1, 2)]
    for writer in writers:
        writer.start()
    try:
        reads = [json.loads((tmp_path / "vms.json").read_bytes()) for _ in range(200)]
    finally:
        done.set()
        for writer in writers:
            writer.join()
    for found in reads:
        assert len({group["targets"][0].split(".")[1] for group in found}) <= 1
    assert [path.name for path in tmp_path.glob(".*")] == []


def test_S7_the_lock_is_out_of_reach_of_other_users(tmp_path: Path) -> None:
    """Any local user who can open the lock holds it for as long as he likes, and targets freeze."""
    lock = tmp_path / "state/targets.lock"
    lock.parent.mkdir()
    lock.touch(0o666)
    lock.chmod(0o666)
    folder = os.open(tmp_path, os.O_RDONLY)
    fcntl.flock(folder, fcntl.LOCK_EX)  # as anybody who can read the folder of the targets can
    try:
        assert files.write(tmp_path, decision("10.0.0.1:1"), lock, 0.2) == ["vms", "hosts-node_exporter"]
    finally:
        os.close(folder)
    assert lock.stat().st_mode & 0o777 == 0o600
    made = tmp_path / "new/targets.lock"
    files.write(tmp_path, decision(), made)
    assert (made.parent.stat().st_mode & 0o777, made.stat().st_mode & 0o777) == (0o700, 0o600)


def test_S7_a_lock_that_is_not_given_up_is_reported(tmp_path: Path) -> None:
    """A stopped writer would block the worker without a message."""
    lock = tmp_path / "targets.lock"
    with lock.open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        with pytest.raises(files.Busy, match=r"targets\.lock is held by another process"):
            files.write(tmp_path, decision(), lock, 0.1)
    assert files.write(tmp_path, decision(), lock, 0.1)


def test_S1_the_lock_is_not_followed_elsewhere(tmp_path: Path) -> None:
    """Root's `onext targets sync` would change the mode of a file that a link names."""
    other = tmp_path / "other"
    other.touch(0o644)
    (tmp_path / "targets.lock").symlink_to(other)
    with pytest.raises(OSError, match="symbolic link"):
        files.write(tmp_path, decision(), tmp_path / "targets.lock")
    assert other.stat().st_mode & 0o777 == 0o644
