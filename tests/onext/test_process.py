"""The door for subprocesses."""

import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from onext.process import CommandError, run
from tests.waiting import PATIENCE, until

pytestmark = pytest.mark.process
PYTHON = sys.executable


def test_output_and_input_travel() -> None:
    """Commands get what they are given and give back what they print."""
    done = run([PYTHON, "-c", "import sys; print(sys.stdin.read()[::-1])"], timeout=PATIENCE, input=b"abc")
    assert done.stdout == b"cba\n"


def test_large_input_and_output_do_not_block_each_other() -> None:
    """A deadlock between two pipes would hold a worker's thread for ever."""
    data = os.urandom(300_000)
    done = run(["cat"], timeout=PATIENCE, input=data)
    assert done.stdout == data


def test_a_failure_tells_command_code_and_output() -> None:
    """Without them nobody can say what went wrong."""
    with pytest.raises(CommandError) as failure:
        run([PYTHON, "-c", "import sys; sys.exit('no such thing')"], timeout=PATIENCE)
    assert failure.value.exit_code == 1
    assert b"no such thing" in failure.value.output
    assert PYTHON in str(failure.value)


def test_a_hanging_command_is_ended_with_its_children() -> None:
    """Ssh that hangs must not pile up."""
    began = time.monotonic()
    with pytest.raises(CommandError, match="still running after"):
        run(["sh", "-c", "sleep 77 & sleep 77"], timeout=0.3)
    assert time.monotonic() - began < 30


def test_children_that_outlive_a_command_are_ended_too(tmp_path: Path) -> None:
    """What a dead command left behind holds our pipes, and would stay for ever."""
    with pytest.raises(CommandError, match="still running after"):
        run(["sh", "-c", 'sleep 77 & echo $! > "$0"', str(tmp_path / "pid")], timeout=3)
    child = Path("/proc", (tmp_path / "pid").read_text().strip())

    def ended() -> bool:
        try:
            return " (sleep) Z " in (child / "stat").read_text()
        except (FileNotFoundError, ProcessLookupError):
            return True

    until(ended, "the child's end")


def test_endless_output_is_ended() -> None:
    """A host that sends without end must not eat the front-end's memory."""
    with pytest.raises(CommandError, match="more than 1000 bytes"):
        run(["yes"], timeout=PATIENCE, max_output=1000)


def test_a_missing_command_is_a_command_error() -> None:
    """A front-end without ssh reports it in one line."""
    with pytest.raises(CommandError, match="cannot be started"):
        run(["/no/such/command"], timeout=PATIENCE)


def test_a_command_that_closes_its_input_is_no_failure() -> None:
    """Commands may read less than they are offered."""
    assert run(["true"], timeout=PATIENCE, input=b"x" * 1_000_000).exit_code == 0


def test_C4_one_deadline_holds_for_output_and_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """A command that closes its output and goes on lasted up to twice as long as it was given."""
    left: list[float] = []
    wait = subprocess.Popen.wait

    def noting(process: Any, timeout: float | None = None) -> int:
        left.append(-1.0 if timeout is None else timeout)
        return int(wait(process, timeout))

    monkeypatch.setattr(subprocess.Popen, "wait", noting)
    with pytest.raises(CommandError, match=r"still running after 3 s"):
        run(["sh", "-c", "sleep 1; exec 1>&- 2>&-; sleep 77"], timeout=3)
    assert 0 <= left[0] <= 2


def test_an_argument_that_no_process_can_have_is_a_command_error() -> None:
    """A zero byte in a name raised ValueError past everyone who handles failed commands."""
    with pytest.raises(CommandError, match="cannot be started"):
        run(["echo", "a\0b"], timeout=PATIENCE)


def test_a_command_that_stops_reading_is_ended_in_time() -> None:
    """A worker's thread would hang in a write for ever, past every deadline."""
    with pytest.raises(CommandError, match="still running after 1 s"):
        run(["sh", "-c", "head -c 5000 >/dev/null; sleep 77"], timeout=1, input=b"x" * 300_000)


@pytest.mark.parametrize(("size", "fits"), [(1_048_576, True), (1_048_577, False)])
def test_a_command_prints_at_most_a_mebibyte_unless_more_is_expected(size: int, fits: bool) -> None:
    """What a command prints without an end would fill the worker's memory."""
    argv = ["head", "-c", str(size), "/dev/zero"]
    if fits:
        assert len(run(argv, timeout=PATIENCE).stdout) == size
    else:
        with pytest.raises(CommandError, match="more than 1048576 bytes of output"):
            run(argv, timeout=PATIENCE)
        assert len(run(argv, timeout=PATIENCE, max_output=size).stdout) == size
