"""The node that the live tests reach by ssh; it needs no OpenNebula."""

import asyncio
import gc
import subprocess
from pathlib import Path

import pytest

from tests.live.ssh_node import DRIVERS, node
from tests.waiting import until

pytestmark = [pytest.mark.process, pytest.mark.timeout(120)]


def test_a_client_that_is_still_copying_leaves_no_transport_open(tmp_path: Path) -> None:
    """The warning of an open transport would fail whichever test runs when it is found, now and then."""
    folder, source = tmp_path / "node", tmp_path / "source"
    folder.mkdir()
    source.mkdir()
    (source / "driver").write_bytes(bytes(20 << 20))
    with node(folder, ["10.0.0.1"]) as config:
        shell = f"ssh -F {config}"
        command = ["rsync", "-a", "--bwlimit=500", "-e", shell, f"{source}/", "onext-live-a:/var/tmp/one"]
        client = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        until((folder / DRIVERS).is_dir, "rsync copies")
    client.kill()
    client.wait()
    gc.collect()
    open_ones = [one for one in gc.get_objects() if isinstance(one, asyncio.BaseTransport)]
    assert [one for one in open_ones if not one.is_closing()] == []
