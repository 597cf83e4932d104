"""500 BMCs, 50 of them silent: one round of onext beside pyghmi used as its manual says, one after the other."""

from __future__ import annotations

import multiprocessing
import os
import resource
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median

from onext.hosts.bmc.config import BmcConfig
from onext.hosts.bmc.protocol import Power
from onext.hosts.bmc.query import query_all
from tests.fixtures_bmc import PASSWORD, IpmiPeer, write_config

COUNT, SILENT, DEADLINE, ROUNDS = 500, 50, 8.0, 5
SAMPLE = 50  # BMCs for the rival, and as many times longer for all


def main() -> None:
    """Print when the live BMCs had answered, how long a round took, and what it left behind."""
    if not shutil.which("ipmi_sim"):
        print("ipmi_sim is not there (Debian: openipmi): not measured")
        return
    with tempfile.TemporaryDirectory(prefix="bmc-") as folder, _peers(Path(folder)) as peers:
        book = write_config(Path(folder), {n: peer.entry() for n, peer in enumerate(peers)})
        for peer in peers[:SILENT]:
            peer.pause()
        load = f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} CPUs"
        print(f"{COUNT} BMCs (ipmi_sim), {SILENT} silent; {load}")
        print("round  live answered  median s  last s  round s  our CPU s  left over")
        last = [_round(number, book) for number in range(1, ROUNDS + 1)]
        rival = _in_sequence(peers[SILENT : SILENT + SAMPLE])
    print(f"median of the last answers {median(last):.2f} s (bound: 4 s)")
    sequence = rival * (COUNT - SILENT) / SAMPLE
    print(f"pyghmi, live ones one after the other: {sequence:.1f} s ({sequence / median(last):.1f} times)")


@contextmanager
def _peers(folder: Path) -> Iterator[list[IpmiPeer]]:
    uuids = [f"4c4c4544-0042-3510-8053-b4c04f56{n:04x}" for n in range(COUNT)]
    peers: list[IpmiPeer] = []
    try:
        peers.extend(IpmiPeer(folder / uuid, uuid) for uuid in uuids)
        for peer in peers:
            peer.wait_until_ready()
        yield peers
    finally:
        for peer in peers:
            peer.stop()


def _round(number: int, book: BmcConfig) -> float:
    before, used, began = _ours(), _children_cpu(), time.monotonic()
    said = query_all(book, DEADLINE)
    took = time.monotonic() - began
    live = [one.seconds for one in said.values() if one.power is Power.ON]
    cpu, left = _children_cpu() - used, _ours() - before
    print(
        f"{number:5}  {len(live):13}  {median(live):8.2f}  {max(live):6.2f}  {took:7.2f}  {cpu:9.1f}  {left:9}"
    )
    return max(live) if len(live) == COUNT - SILENT else DEADLINE


def _children_cpu() -> float:
    """Return the CPU seconds of the processes that have ended: our child and its workers."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _ours(pid: int | str = "self") -> int:
    """Count the threads of a process and of all below it."""
    tasks = list(Path(f"/proc/{pid}/task").iterdir())
    children = [int(child) for task in tasks for child in (task / "children").read_text().split()]
    return len(tasks) + sum(map(_ours, children))


def _in_sequence(peers: list[IpmiPeer]) -> float:
    """Return the seconds that pyghmi's Command takes for these, in a process of its own."""
    context = multiprocessing.get_context("spawn")
    with context.Pool(1) as pool:
        return pool.apply(_ask_each, ([peer.port for peer in peers],))


def _ask_each(ports: list[int]) -> float:
    from pyghmi.ipmi.command import Command

    began = time.monotonic()
    for port in ports:
        command = Command("127.0.0.1", b"admin", PASSWORD.encode(), port=port)
        command.get_power()
        command.ipmi_session.logout()
    return time.monotonic() - began


if __name__ == "__main__":
    main()
