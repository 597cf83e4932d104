"""Storage heartbeats: the probe on a node, which nothing may block, and what the front-end makes of them."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from hooks.availability.cluster_view import shared_datastores
from hooks.availability.evidence import Finding
from hooks.availability.heartbeat import _LINE, WINDOW, Heartbeats, datastores
from hooks.availability.memory import Boots
from onext.cloud.model import Datastore
from onext.cloud.snapshot import Cloud
from tests.waiting import PATIENCE, until

PROBE = Path(__file__).parents[3] / "hooks/availability/probes/onext_heartbeat.sh"


@dataclass
class NodePlace:
    """A node's datastores on a mount that counts as NFS."""

    folder: Path

    def run(self, *words: str) -> str:
        """Run the probe; its standard input is what monitord gives it."""
        env = {
            "PATH": os.environ["PATH"],
            "ONEXT_MOUNTS": str(self.folder / "mounts"),
            "ONEXT_LOCKS": str(self.folder / "locks"),
            "ONEXT_PATIENCE": "0.5",
        }
        stdin = f"<MONITOR><HOST_ID>7</HOST_ID><DATASTORE_LOCATION>{self.folder}/ds</DATASTORE_LOCATION></MONITOR>"
        done = subprocess.run(
            ["sh", str(PROBE), *words], input=stdin, env=env, capture_output=True, text=True, timeout=PATIENCE, check=True
        )  # fmt: skip
        return done.stdout

    def file(self, datastore: int) -> Path:
        """Return where the heartbeat is."""
        return self.folder / f"ds/{datastore}/.onext-heartbeat/7"


@pytest.fixture
def node(tmp_path: Path) -> Iterator[NodePlace]:
    """Return the node; whatever hangs at its end is let go."""
    for name in ("100", "101", "notes"):
        (tmp_path / "ds" / name).mkdir(parents=True)
    (tmp_path / "mounts").write_text(
        f"disk / ext4 rw 0 0\nserver:/a {tmp_path}/ds/100 nfs4 rw 0 0\nserver:/b {tmp_path}/ds/101 nfs rw 0 0\n"
        f"tmpfs {tmp_path}/ds/notes tmpfs rw 0 0\n"
    )
    made = NodePlace(tmp_path)
    yield made
    for fifo in tmp_path.rglob("*"):
        if fifo.is_fifo():
            os.close(os.open(fifo, os.O_RDWR | os.O_NONBLOCK))


@pytest.mark.process
def test_the_probe_writes_to_every_shared_datastore_and_another_host_reads_it(node: NodePlace) -> None:
    """Without it an isolated host is not told from a dead one."""
    assert node.run("kvm") == ""
    until(lambda: node.file(100).exists() and node.file(101).exists(), "both heartbeats")
    first = node.run("read", "7", str(node.folder / "ds/100"), str(node.folder / "ds/101"))
    assert len(first.splitlines()) == 2
    assert all(_LINE.fullmatch(line.encode()) for line in first.splitlines())
    time.sleep(0.05)
    node.run("kvm")
    until(
        lambda: node.run("read", "7", str(node.folder / "ds/100")) != first.splitlines(keepends=True)[0],
        "a change",
    )
    assert not (node.folder / "ds/notes/.onext-heartbeat").exists()
    assert node.run("read", "8", str(node.folder / "ds/100")) == ""


@pytest.mark.process
def test_storage_that_hangs_blocks_nothing_else_and_is_tried_once(node: NodePlace) -> None:
    """A hung NFS server would otherwise stop monitoring, and fill the node with processes."""
    folder = node.file(100).parent
    folder.mkdir()
    os.mkfifo(folder / "7.new")
    for _ in range(4):
        node.run("kvm")
    until(lambda: node.file(101).exists(), "the other heartbeat")
    assert not node.file(100).exists()
    writers = subprocess.run(
        ["fuser", *map(str, (node.folder / "locks").glob("*-*"))], capture_output=True, text=True, check=False
    )
    assert len(set(writers.stdout.split())) <= 2, writers.stdout
    os.mkfifo(node.file(100))
    found = node.run("read", "7", str(node.folder / "ds/100"), str(node.folder / "ds/101"))
    assert [line.split()[0] for line in found.splitlines()] == ["101"]


@pytest.mark.process
def test_a_lock_folder_of_another_account_is_not_used(node: NodePlace) -> None:
    """In /var/tmp anybody can make that name, and lead the probe's files elsewhere."""
    (node.folder / "elsewhere").mkdir()
    (node.folder / "locks").symlink_to(node.folder / "elsewhere")
    assert node.run("kvm") == ""
    time.sleep(0.3)
    assert list((node.folder / "elsewhere").iterdir()) == []


def test_a_heartbeat_is_judged_by_change_and_never_by_its_text() -> None:
    """Clocks differ and NFS caches: an old file proves nothing, and a new one proves nothing either."""
    clock = [1000.0]
    beats = Heartbeats(lambda: clock[0])
    assert beats.finding(7).finding is Finding.UNKNOWN
    beats.note(7, {"100": "a 1.0"})
    assert beats.finding(7).finding is Finding.UNKNOWN
    clock[0] += WINDOW / 2
    beats.note(7, {"100": "a 1.0"})
    assert beats.finding(7).finding is Finding.UNKNOWN
    beats.note(7, {"100": "a 0.5"})
    assert beats.finding(7).finding is Finding.ALIVE
    clock[0] += WINDOW + 1
    beats.note(7, None)
    beats.note(7, {"100": "a 0.5"})
    assert beats.finding(7).finding is Finding.SILENT
    beats.forget([8])
    assert beats.finding(7).finding is Finding.UNKNOWN


def test_only_shared_system_datastores_of_the_cluster_are_asked() -> None:
    """A local datastore shows each host its own files."""
    shared = {"SHARED": "YES"}
    cloud = Cloud.of(
        datastores=[
            Datastore(100, "a", 1, "shared", frozenset({5}), template=shared),
            Datastore(101, "b", 1, "ssh", frozenset({5}), template={"SHARED": "NO"}),
            Datastore(102, "images", 0, "shared", frozenset({5}), template=shared),
            Datastore(103, "other cluster", 1, "shared", frozenset({6}), template=shared),
        ]
    )
    assert datastores(cloud, 5, shared_datastores(cloud)) == ["/var/lib/one/datastores/100"]


def test_a_changed_boot_id_is_seen_once_and_accepted_where_nothing_was_lost() -> None:
    """A reboot within 180 s leaves VMs off that oned takes for running."""
    boots = Boots()
    assert boots.rebooted({1: "a", 2: "a"}, ()) == frozenset()
    assert boots.rebooted({1: "b", 2: "a"}, ()) == {1}
    assert boots.rebooted({1: "b", 2: "b"}, {2}) == {1}
    assert boots.rebooted({1: "b", 2: "b"}, {1}) == frozenset()
    assert boots.rebooted({1: "b"}, ()) == frozenset()
