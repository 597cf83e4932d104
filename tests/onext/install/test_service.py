"""The worker's process: found by what it holds, ended before its files go."""

import subprocess
import sys
from pathlib import Path

import pytest

from onext.install import service
from onext.install.front_end import FrontEnd
from tests.waiting import PATIENCE

pytestmark = pytest.mark.process

WORKER = """
import fcntl, signal, sys
held = open(sys.argv[1], "w")
fcntl.flock(held, fcntl.LOCK_EX)
signal.signal(signal.SIGTERM, {how})
print("ready", flush=True)
signal.pause()
"""
OBEYS, IGNORES = "lambda *_: sys.exit()", "signal.SIG_IGN"


@pytest.fixture
def front_end(bare: tuple[Path, FrontEnd]) -> FrontEnd:
    _, found = bare
    found.paths.spool.mkdir(parents=True)
    return found


def start(front_end: FrontEnd, how: str) -> "subprocess.Popen[str]":
    command = [sys.executable, "-c", WORKER.format(how=how), str(front_end.paths.var / "worker.lock")]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    with process.stdout as told:
        assert told.readline() == "ready\n"
    return process


def test_the_holder_of_a_lock_is_found(front_end: FrontEnd) -> None:
    """An upgrade restarts the right process, whatever the file system says of its devices."""
    lock = front_end.paths.var / "worker.lock"
    assert service.holder(lock) is None
    process = start(front_end, OBEYS)
    assert service.holder(lock) == process.pid
    service._end(front_end)
    assert process.wait(PATIENCE) == 0
    assert service.holder(lock) is None


def test_one_that_does_not_end_is_killed(front_end: FrontEnd, monkeypatch: pytest.MonkeyPatch) -> None:
    """An uninstall does not wait for ever for a worker that hangs."""
    monkeypatch.setattr(service, "_PATIENCE", 0.5)
    process = start(front_end, IGNORES)
    service._end(front_end)
    assert process.wait(PATIENCE) == -9


def test_a_lock_that_nobody_holds_is_not_waited_for(front_end: FrontEnd) -> None:
    """Without a worker there is nothing to end."""
    (front_end.paths.var / "worker.lock").touch()
    service._end(front_end)
    assert (front_end.paths.var / "worker.lock").exists()
