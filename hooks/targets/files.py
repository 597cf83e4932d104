"""The files of file_sd: whole, in place at once, touched only when they change.

Prometheus sees a rename through inotify and needs no reload. An empty list drops the targets; a file that
is gone or empty does not, so files of jobs that were switched off become `[]`.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hooks.targets.decide import Decision, groups
from onext import atomic

MODE = 0o644  # Prometheus is another user, and there is no secret in it


def write(folder: Path, decision: Decision) -> list[str]:
    """Make the files what was decided; return the names of those that changed. Raises OSError."""
    folder.mkdir(mode=0o755, parents=True, exist_ok=True)
    with _lock(folder):
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
    lines = ",\n".join(json.dumps(group, sort_keys=True) for group in groups(decision.of(job)))
    return f"[{lines}]\n".encode()


@contextmanager
def _lock(folder: Path) -> Iterator[None]:
    """Hold the folder: `onext targets sync` and the worker write one after the other."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
