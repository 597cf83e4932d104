"""The files of file_sd: each is replaced atomically, and only when its content changes.

Prometheus sees a rename through inotify and needs no reload. An empty list removes the targets; a missing or
empty file does not, so the file of a disabled job becomes `[]`.
"""

from __future__ import annotations

import fcntl
import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hooks.targets.decide import Decision, Target, groups
from onext import atomic

MODE = 0o644  # Prometheus runs as another user, and the file contains no secret
PATIENCE = 10.0  # seconds to wait for another writer
_PAUSE = 0.05
_written: dict[str, tuple[list[Target], bytes]] = {}  # the last text of each job: most passes change nothing
_BETWEEN = ('}, {"labels": {', '},\n{"labels": {')  # never within a string, where quotes are escaped


class Busy(Exception):
    """Another process is writing the files, or was stopped while it did."""


def write(folder: Path, decision: Decision, lock: Path, patience: float = PATIENCE) -> list[str]:
    """Write the decided targets; return the names of the files that changed.

    Meanwhile it holds `lock`, in a folder that other users cannot enter. Raises OSError, or Busy after
    `patience` seconds.
    """
    folder.mkdir(mode=0o755, parents=True, exist_ok=True)
    with _held(lock, patience):
        texts = {job: text(decision, job) for job in decision.jobs}
        stale = {file.stem for file in folder.glob("hosts-*.json")} - texts.keys()
        texts |= dict.fromkeys(stale, b"[]\n")
        return [
            name
            for name, content in texts.items()
            if atomic.write(folder / f"{name}.json", content, mode=MODE)
        ]


def text(decision: Decision, job: str) -> bytes:
    """Return the content of one job's file."""
    targets = decision.of(job)
    known = _written.get(job)
    if known is None or known[0] != targets:
        line = json.dumps(groups(targets), sort_keys=True)
        known = _written[job] = targets, line.replace(*_BETWEEN).encode() + b"\n"  # one group a line
    return known[1]


@contextmanager
def _held(lock: Path, patience: float) -> Iterator[None]:
    """Hold the lock: `onext targets sync` and the worker write one after the other."""
    lock.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        os.fchmod(descriptor, 0o600)  # any process that can open it can hold it
        until = time.monotonic() + patience
        while not _taken(descriptor):
            if time.monotonic() >= until:
                raise Busy(f"{lock} is held by another process for more than {patience:g} s; see lslocks(8)")
            time.sleep(_PAUSE)
        yield
    finally:
        os.close(descriptor)


def _taken(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
