"""What an event costs oned, and how fast the worker locates a whole pool."""

from __future__ import annotations

import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from tests.fixtures_bundle import Bundle, make_database
from tests.fixtures_sandbox import Sandbox

RECORDED = Path(__file__).parent.parent / "fixtures/opennebula-7.0.2/hooks/host-monitored.stdin.b64"
RUNS = 50
HOSTS = 1000


def main() -> None:
    """Print both tables."""
    with tempfile.TemporaryDirectory() as folder:
        sandbox = Sandbox(Path(folder) / "one", "--step", "0.01", "--monitor", "3600")
        try:
            bundle = Bundle(sandbox)
            bundle.settings(f"geolocation:\n  database: {make_database(Path(folder) / 'city.mmdb')}\n")
            hook(bundle)
            pool(bundle)
        finally:
            bundle.end_worker()
            sandbox.stop()


def hook(bundle: Bundle) -> None:
    """Compare the hook's whole process with a Python that does nothing; a worker runs meanwhile."""
    path = bundle.hook("geolocation")
    bundle.run_hook("geolocation", RECORDED.read_bytes())
    python = str(Path(sys.executable).resolve())
    text = path.read_text()
    path.write_text(f"#!{python} -IS\n" + text.split("\n", 1)[1])
    floor, ours = medians(([python, "-I", "-c", "pass"], [str(path)]), bundle.sandbox.env)
    print(
        f"hook, a recorded payload of {RECORDED.stat().st_size} bytes; medians of {RUNS}, {platform.machine()}"
    )
    print(f"  python3 -I -c pass   {floor * 1000:6.1f} ms   1.00")
    print(f"  geolocation hook     {ours * 1000:6.1f} ms   {ours / floor:.2f}   (at most 1.3)")


def medians(commands: Sequence[Sequence[str]], env: dict[str, str]) -> list[float]:
    """Return the median seconds of each command, run in turns."""
    times: list[list[float]] = [[] for _ in commands]
    for _ in range(RUNS):
        for command, kept in zip(commands, times, strict=True):
            with RECORDED.open("rb") as payload:
                began = time.perf_counter()
                subprocess.run(command, stdin=payload, env=env, check=True)
                kept.append(time.perf_counter() - began)
    return [statistics.median(kept) for kept in times]


def pool(bundle: Bundle) -> None:
    """Let one worker locate a pool that has never been located; GEOLOCATION_IP stands for ssh's answer."""
    bundle.end_worker()
    for number in range(HOSTS):
        host = bundle.sandbox.call("one.host.allocate", f"node-{number}", "dummy", "dummy", 0)
        bundle.sandbox.call("one.host.update", host, 'GEOLOCATION_IP="130.237.28.40"', 1)
    bundle.sandbox.until(lambda: "<STATE>2</STATE>" in bundle.sandbox.call("one.host.info", HOSTS - 1))
    began = time.perf_counter()
    bundle.onext("worker", "--until-idle", seconds=120)
    took = time.perf_counter() - began
    done = sum("GEOLOCATION" in bundle.template(number) for number in range(HOSTS))
    print(
        f"worker, {done} of {HOSTS} hosts located, sandbox on the same machine: {took:.1f} s   (at most 10)"
    )
