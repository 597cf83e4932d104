"""What each cluster has come to, one line every ten minutes, for `onext power report --since`.

The totals are the hosts' own records, so a server that was not the leader for a while has a gap in the curve
and no error in the sums.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import astuple, dataclass, fields
from pathlib import Path

from hooks.power.round_state import Tally
from onext import atomic
from onext.hosts.energy import JOULES_PER_GB
from onext.hosts.model import Cluster, Phase

FOLDER = "power-ledger"
PERIOD = 600.0
LARGEST = 8_000_000  # bytes: two years; then the older half is forgotten
LONGEST = 1000  # bytes of one line


@dataclass(frozen=True, slots=True)
class Entry:
    """A cluster at one time: its hosts now, and what had been counted until then."""

    when: float
    on: float
    off: float
    joules: float  # saved by being off, boots subtracted
    off_seconds: float
    wakes: float
    failed_wakes: float
    migrations: float
    moved_gb: float

    @property
    def net_joules(self) -> float:
        """Return what was saved when the migrations are paid."""
        return self.joules - JOULES_PER_GB * self.moved_gb


def entry(cluster: Cluster, tally: Tally, now: float) -> Entry:
    """Return a cluster's balance."""
    off = sum(host.phase is Phase.OFF for host in cluster.hosts)
    return Entry(
        now,
        len(cluster.hosts) - off,
        off,
        sum(host.joules(now) for host in cluster.hosts),
        sum(host.off_seconds(now) for host in cluster.hosts),
        sum(host.record.wakes for host in cluster.hosts),
        sum(host.record.failed_wakes for host in cluster.hosts),
        tally.migrations,
        tally.moved_gb,
    )


def enter(folder: Path, cluster: int, new: Entry) -> None:
    """Add an entry where the last one is old enough."""
    file = _file(folder, cluster)
    file.parent.mkdir(exist_ok=True)
    with file.open("a+b") as book:
        book.seek(max(0, book.seek(0, os.SEEK_END) - LONGEST))
        last = list(_entries(book.read().decode(errors="replace").splitlines()))
        if not last or not 0 <= new.when - last[-1].when < PERIOD:
            book.write((",".join(f"{value:.10g}" for value in astuple(new)) + "\n").encode())
    if file.stat().st_size > LARGEST:
        lines = file.read_bytes().splitlines(keepends=True)
        atomic.write(file, b"".join(lines[len(lines) // 2 :]))


def read(folder: Path, cluster: int) -> list[Entry]:
    """Return all entries of a cluster, the oldest first; none where nothing was written."""
    try:
        return list(_entries(_file(folder, cluster).read_text(errors="replace").splitlines()))
    except OSError:
        return []


def since(entries: Sequence[Entry], begin: float) -> list[Entry]:
    """Return the entries from `begin` on, with the last one before it as their start."""
    start = max((n for n, one in enumerate(entries) if one.when <= begin), default=0)
    return list(entries[start:])


def _file(folder: Path, cluster: int) -> Path:
    return folder / FOLDER / f"{cluster}.csv"


def _entries(lines: Iterable[str]) -> Iterator[Entry]:
    """Read lines; truncated and foreign lines are left out."""
    for line in lines:
        try:
            values = [float(text) for text in line.split(",")]
        except ValueError:
            continue
        if len(values) == len(fields(Entry)):
            yield Entry(*values)
