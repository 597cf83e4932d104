"""The benchmark of migrations, which brings up laboratories of its own."""

import contextlib
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.lab.conftest import OpenLab
from tests.lab.node import until


def namespaces(folder: str) -> set[str]:
    """Return the pid namespaces of the nodes below a folder whose name begins so."""
    found = set()
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(OSError):
            if entry.name.isdigit() and folder in (entry / "mountinfo").read_text():
                found.add(str((entry / "ns/pid").readlink()))
    return found - {str(Path("/proc/self/ns/pid").readlink())}


def alive(spaces: set[str]) -> list[str]:
    """Return the command lines of the processes in some pid namespaces."""
    found = []
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(OSError):
            if entry.name.isdigit() and str((entry / "ns/pid").readlink()) in spaces:
                found.append((entry / "cmdline").read_text().replace("\0", " "))
    return found


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_C4_ended_early_it_leaves_no_process(
    open_lab: OpenLab, tmp_path: Path, number: signal.Signals
) -> None:
    """Two libvirtd, Open vSwitch and a QEMU stayed behind on the machine."""
    assert open_lab is not None, "the laboratory can run here"
    words = [sys.executable, "-m", "tests.bench", "migrate"]
    with subprocess.Popen(words, env={**os.environ, "TMPDIR": str(tmp_path)}) as bench:
        until(lambda: any("libvirtd" in one for one in alive(namespaces(str(tmp_path)))), "it is up")
        spaces = namespaces(str(tmp_path))
        os.kill(bench.pid, number)
        bench.wait(60)
    until(lambda: not alive(spaces), f"{alive(spaces)}")
