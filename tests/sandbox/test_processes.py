"""The processes below the sandbox: whose they are, and who hears of their end."""

import subprocess
import sys

import pytest

from tests.fixtures_sandbox import ROOT
from tests.waiting import PATIENCE

pytestmark = pytest.mark.process
PROGRAM = """
import os, subprocess, sys
from sandbox.processes import Children, _is_zombie

def ended(code):
    process = subprocess.Popen([sys.executable, "-c", f"raise SystemExit({code})"])
    while not _is_zombie(process.pid):
        pass
    return process

children = Children()
mine = ended(7)
children.reap()  # between its start and `spared`
with children.spared(mine.pid):
    children.reap()
    print(mine.wait())
orphan = ended(0)
children.reap()
children.reap()
print(os.path.exists(f"/proc/{orphan.pid}"))
"""


def test_who_waits_for_a_process_hears_its_end() -> None:
    """A command on a node would now and then end with a code that is not its own; or orphans would pile up."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=True,
    )
    assert done.stdout.split() == ["7", "False"]
