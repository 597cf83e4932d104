"""`make test`: the laboratory, which waits more than it computes, beside all other tests; 0 when both pass.

As root the laboratory has a network and mounts of its own, so that neither sees the other's. What it printed
comes last.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

LABORATORY = "tests/lab"
LOG = Path(".cache/laboratory.log")
_OF_ITS_OWN = ["unshare", "--mount", "--net", "--kill-child", "--fork", "sh", "-c"]
_PREPARED = 'mount -t tmpfs onext /run/netns && ip link set lo up && exec "$@"'


def main() -> int:
    """Run both and return the exit code: the laboratory's where the others passed."""
    pytest = [sys.executable, "-m", "pytest", "--durations=15"]
    LOG.parent.mkdir(exist_ok=True)
    with LOG.open("wb") as log:
        laboratory = subprocess.Popen(
            [*_apart(), *pytest, LABORATORY], stdin=subprocess.DEVNULL, stdout=log, stderr=log
        )
    try:
        others = subprocess.run([*pytest, f"--ignore={LABORATORY}"], check=False).returncode
        print(f"\n{LABORATORY} runs beside them; its output is in {LOG}", flush=True)
        ended = laboratory.wait()
    finally:
        laboratory.terminate()
    print(LOG.read_text(errors="replace"))
    return others or ended


def _apart() -> list[str]:
    """Return the words that give a command a network and mounts of its own; none without the right to."""
    if os.geteuid() != 0 or not all(map(shutil.which, ("unshare", "ip", "mount"))):
        return []
    Path("/run/netns").mkdir(exist_ok=True)
    return [*_OF_ITS_OWN, _PREPARED, "sh"]


if __name__ == "__main__":
    sys.exit(main())
