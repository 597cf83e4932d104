"""What the worker costs at 1,250 hosts and 10,000 VMs: idle, and with events.

The floor is one reading of both pools from the same sandbox, cut into elements and thrown away. Geolocation is
stopped, because its cost is ssh; power has no cluster. Times are CPU of the worker's process, threads included.
"""

from __future__ import annotations

import os
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from onext import spool
from onext.oned import stream
from tests.fixtures_bundle import Bundle
from tests.fixtures_sandbox import Sandbox
from tests.waiting import until

HOSTS, VMS = 1250, 10_000
MINUTE = 60.0
BURST = 1000
_TICKS = os.sysconf("SC_CLK_TCK")


def main(prepare: Callable[[Bundle], None] = lambda _: None) -> None:
    """Print one line for each figure; `prepare` enables what the worker is to do."""
    with tempfile.TemporaryDirectory() as folder:
        sandbox = Sandbox(Path(folder) / "one", "--hosts", str(HOSTS), "--vms", str(VMS), "--monitor", "3600")
        try:
            bundle = Bundle(sandbox)
            prepare(bundle)
            costs(bundle)
        finally:
            sandbox.stop()


def costs(bundle: Bundle) -> None:
    """Measure a running worker."""
    floor = min(reading(bundle) for _ in range(3))
    print(f"reading both pools once          {floor:6.2f} s CPU   1.00")
    (bundle.var / "stopped/geolocation").touch()
    worker = subprocess.Popen([str(bundle.command), "worker"], env=bundle.sandbox.env)
    try:
        until(lambda: bundle.results().get("targets.pool.0"), "the first round", 600)
        time.sleep(5)
        began = cpu(worker.pid)
        time.sleep(MINUTE)
        idle = cpu(worker.pid) - began
        print(f"idle, per minute                 {idle:6.2f} s CPU   {idle / floor:.2f}   (at most 1.5)")
        began = cpu(worker.pid)
        for number in range(int(MINUTE)):
            event(bundle, number)
            time.sleep(1)
        steady = cpu(worker.pid) - began
        print(f"one VM event per second, minute  {steady:6.2f} s CPU          (at most 4 s)")
        began = cpu(worker.pid)
        for number in range(BURST):
            event(bundle, number)
            time.sleep(0.002)
        time.sleep(10)
        burst = cpu(worker.pid) - began
        print(f"{BURST} VM events in a burst       {1000 * burst / BURST:6.2f} ms CPU per event")
        size = (bundle.var / "state/results.json").stat().st_size
        print(f"results.json                     {size} bytes   (at most 100,000)")
    finally:
        worker.terminate()
        worker.wait(60)


def reading(bundle: Bundle) -> float:
    """Return the CPU seconds of reading both pools."""
    source = stream.Source(bundle.sandbox.endpoint, bundle.sandbox.session)
    began = time.process_time()
    for method, arguments, tag in (
        ("hostpool.info", (), "HOST"),
        ("vmpool.infoextended", stream.ALL_VMS, "VM"),
    ):
        for _ in stream.pool(source, method, *arguments, tag=tag):
            pass
    return time.process_time() - began


def event(bundle: Bundle, number: int) -> None:
    """Leave what the hook of a VM that became RUNNING leaves."""
    spool.put(str(bundle.var / "spool"), spool.EVENT, "vm", number, 3, 3)
    spool.wake(str(bundle.var / "spool"))


def cpu(pid: int) -> float:
    """Return the CPU seconds of a process."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


if __name__ == "__main__":
    main()
