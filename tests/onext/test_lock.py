"""Locks between processes: exclusive, private, and never waited for without end."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from onext import lock
from onext.part import Busy

HOLD = "import sys; from pathlib import Path; from onext import lock\nwith lock.held(Path(sys.argv[1]), 5): print('held', flush=True); sys.stdin.read()"


@pytest.mark.process
def test_another_process_is_waited_for_and_then_named(tmp_path: Path) -> None:
    """Two processes at one claim would act against each other; one that waits without end never reports it."""
    file = tmp_path / "x/power.lock"
    other = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(file)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert other.stdout
    assert other.stdout.readline() == "held\n"
    with (
        pytest.raises(Busy, match=r"an enrolment is under way, and holds .*power\.lock"),
        lock.held(file, 0.2, "an enrolment is under way"),
    ):
        pytest.fail("both hold it")
    other.communicate("", timeout=60)
    with lock.held(file, 0.2):
        assert file.stat().st_mode & 0o777 == 0o600


def test_S7_a_lock_of_an_older_version_becomes_private(tmp_path: Path) -> None:
    """Any local user who can open a lock file can hold the lock, and stop what waits for it."""
    file = tmp_path / "power.lock"
    file.touch(mode=0o644)
    with lock.held(file, 1):
        assert file.stat().st_mode & 0o777 == 0o600


def test_a_link_is_not_followed(tmp_path: Path) -> None:
    """A lock that is a link would truncate or hold another file."""
    (tmp_path / "lock").symlink_to(tmp_path / "other")
    with pytest.raises(OSError, match="lock"), lock.held(tmp_path / "lock", 0.2):
        pytest.fail("held")
    assert not (tmp_path / "other").exists()
