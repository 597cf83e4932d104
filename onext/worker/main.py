"""The worker's process: one on each server, held by a lock, ended by SIGTERM."""

from __future__ import annotations

import logging
import signal
from collections.abc import Iterator
from contextlib import contextmanager

from onext import lock
from onext.part import Busy, Context
from onext.worker.loop import Worker
from onext.worker.registry import installed
from onext.worker.upgrade import take_over

LOCK = "worker.lock"
_log = logging.getLogger("onext.worker")


class AlreadyRunning(Exception):
    """Another worker holds the lock."""


@contextmanager
def _alone(context: Context) -> Iterator[None]:
    file = context.paths.var / LOCK
    try:
        with lock.held(file, 0):
            yield
    except Busy:
        raise AlreadyRunning(f"a worker holds {file} already") from None


def work(context: Context, *, until_idle: bool = False) -> None:
    """Work until SIGTERM or SIGINT, or until nothing is left; raise AlreadyRunning."""
    ended: list[int] = []
    with _alone(context):
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda received, _frame: ended.append(received))
        take_over(context)
        worker = Worker(context, list(installed()))
        _log.info("worker started")
        worker.run(lambda: bool(ended) or (until_idle and worker.idle()))
        _log.info("worker ended")
