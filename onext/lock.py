"""Locks between the processes of one front-end: a file of mode 0600 in a private folder, and a timeout.

Not for hooks (onext.spool), nodes, or the installer before there is a venv, which use flock themselves.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from onext.part import Busy

_POLL = 0.1  # seconds


@contextmanager
def held(file: Path, patience: float, what: str = "") -> Iterator[None]:
    """Hold the lock `file`; raise Busy when another process holds it for `patience` seconds, or OSError.

    Other users can neither open the file nor its folder: a user who can open a file can hold its lock.
    `what` is what the other process does, for the message.
    """
    file.parent.mkdir(mode=0o750, parents=True, exist_ok=True)
    lock = FileLock(file, timeout=patience, mode=0o600, thread_local=False)
    try:
        lock.acquire(poll_interval=_POLL)
    except Timeout:
        doing = what or "another process is at the same work"
        raise Busy(f"{doing}, and holds {file} for more than {patience:g} s (lslocks shows it)") from None
    try:
        yield
    finally:
        lock.release()
