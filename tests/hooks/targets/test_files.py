"""The files of file_sd: whole, only on change, readable by Prometheus."""

from __future__ import annotations

import json
import threading
from itertools import count
from pathlib import Path

from hooks.targets import files
from hooks.targets.decide import Decision, Target


def decision(*addresses: str) -> Decision:
    return Decision(
        ("vms", "hosts-node_exporter"), tuple(Target("vms", a, {"x": "é"}) for a in addresses), ()
    )


def test_files_hold_what_was_decided(tmp_path: Path) -> None:
    """An empty job is `[]`: a deleted or empty file does not drop targets."""
    assert files.write(tmp_path / "t", decision("10.0.0.1:1")) == ["vms", "hosts-node_exporter"]
    assert json.loads((tmp_path / "t/vms.json").read_text()) == [
        {"targets": ["10.0.0.1:1"], "labels": {"x": "é"}}
    ]
    assert json.loads((tmp_path / "t/hosts-node_exporter.json").read_text()) == []
    assert (tmp_path / "t/vms.json").stat().st_mode & 0o777 == 0o644


def test_only_what_changed_is_written(tmp_path: Path) -> None:
    """Each rename makes Prometheus read the file again."""
    files.write(tmp_path, decision("10.0.0.1:1"))
    before = (tmp_path / "vms.json").stat()
    assert files.write(tmp_path, decision("10.0.0.1:1")) == []
    assert (tmp_path / "vms.json").stat().st_ino == before.st_ino
    assert files.write(tmp_path, decision("10.0.0.2:1")) == ["vms"]


def test_a_job_that_was_switched_off_is_emptied(tmp_path: Path) -> None:
    """Else Prometheus goes on with targets that nobody wants."""
    (tmp_path / "hosts-old.json").write_text('[{"targets": ["a:1"]}]')
    files.write(tmp_path, decision())
    assert json.loads((tmp_path / "hosts-old.json").read_text()) == []


def test_readers_never_see_a_torn_file(tmp_path: Path) -> None:
    """Two writers and a reader at once: every read is whole JSON."""
    files.write(tmp_path, decision())
    done = threading.Event()

    def alternate(seed: int) -> None:
        for turn in count(1):
            files.write(tmp_path, decision(*(f"10.{seed}.0.{n}:1" for n in range(turn % 60))))
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
