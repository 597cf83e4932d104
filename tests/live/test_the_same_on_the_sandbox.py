"""The scenarios of a real OpenNebula, played on the sandbox: a stand-in that differs would hide our errors."""

import subprocess
import sys
from collections.abc import Callable

import pytest

from tests.fixtures_sandbox import ROOT, Sandbox

pytestmark = [pytest.mark.process, pytest.mark.timeout(300)]

# Known differences, and why nobody is harmed.
DIFFERENT = {"characters_beyond_the_basic_plane": "the sandbox takes every character that XML has"}


@pytest.mark.parametrize("module", ["test_templates", "test_hosts", "test_hooks"])
def test_the_same_on_the_sandbox(sandboxes: Callable[..., Sandbox], module: str) -> None:
    """What passes here and fails on a real front-end is found by a user, not by `make test`."""
    left_out = " and ".join(f"not {name}" for name in DIFFERENT)
    played = subprocess.run(
        [sys.executable, "-m", "pytest", f"tests/live/{module}.py", "-q", "-k", left_out],
        cwd=ROOT,
        env=sandboxes("--monitor", "1").env,
        capture_output=True,
        text=True,
        check=False,
    )
    assert played.returncode == 0, played.stdout
    assert "passed" in played.stdout
    assert "skipped" not in played.stdout, played.stdout
