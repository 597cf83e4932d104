"""The worker's process: one on each server, held by a lock, ended by SIGTERM."""

from __future__ import annotations

import fcntl
import logging
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from onext.part import Context
from onext.worker import heartbeat
from onext.worker.loop import Worker
from onext.worker.registry import installed

_log = logging.getLogger("onext.worker")


class AlreadyRunning(Exception):
    """Another worker holds the lock."""


def work(context: Context, *, until_idle: bool = False) -> None:
    """Work until SIGTERM or SIGINT, or until nothing is left; raise AlreadyRunning."""
    ended: list[int] = []
    with _lock(context.paths.var / heartbeat.FILE):
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda received, _frame: ended.append(received))
        worker = Worker(context, list(installed()))
        _log.info("worker started")
        worker.run(lambda: bool(ended) or (until_idle and worker.idle()))
        _log.info("worker ended")


@contextmanager
def _lock(file: Path) -> Iterator[None]:
    with file.open("w") as held:
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise AlreadyRunning(f"a worker holds {file} already") from None
        yield
