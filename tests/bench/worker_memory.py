"""Resident memory of a worker over 1,000 rounds at 125 hosts and 1,000 VMs, power deciding on all of them.

A round is over when every part has had its pass. ONEXT_ROUNDS, ONEXT_HOSTS and ONEXT_VMS set other numbers.
Geolocation is stopped, because it would ask each host by ssh.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.bench.worker_power import advise
from tests.fixtures_bundle import Bundle
from tests.fixtures_sandbox import ROOT, Sandbox

ROUNDS = int(os.environ.get("ONEXT_ROUNDS", "1000"))
HOSTS, VMS = os.environ.get("ONEXT_HOSTS", "125"), os.environ.get("ONEXT_VMS", "1000")
_ROUNDS = """
import os, sys, time
from pathlib import Path
from onext.part import Context
from onext.worker import loop
from onext.worker.registry import installed

worker, total = loop.Worker(Context(), list(installed())), int(sys.argv[1])
for number in range(total + 1):
    loop.ROUND = 0.0  # the next turn begins a round
    worker.turn()
    loop.ROUND = 1e9
    while not worker.idle():
        time.sleep(0.002)
        worker.turn()
    if number in (1, 10) or number % max(1, total // 10) == 0:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        print(number, round(pages * os.sysconf("SC_PAGE_SIZE") / 2**20, 1), flush=True)
os._exit(0)
"""


def main() -> None:
    """Print the memory after some of the rounds."""
    with tempfile.TemporaryDirectory() as folder:
        sandbox = Sandbox(Path(folder) / "one", "--hosts", HOSTS, "--vms", VMS, "--monitor", "3600")
        try:
            bundle = Bundle(sandbox)
            advise(bundle)
            (bundle.var / "stopped/geolocation").touch()
            print(f"{ROUNDS} rounds at {HOSTS} hosts and {VMS} VMs: rounds, MiB resident", flush=True)
            argv = [sys.executable, "-c", _ROUNDS, str(ROUNDS)]
            subprocess.run(argv, cwd=ROOT, env=sandbox.env, check=True)
        finally:
            sandbox.stop()


if __name__ == "__main__":
    main()
