"""Processes that do one job after the other, forked when the drivers are imported. Runs in the child only.

Processes, because pyghmi's threads block each other for good under load; a job that hangs costs one worker.
"""

from __future__ import annotations

import os
import signal
import struct
import time
from collections.abc import Callable

_NUMBER = struct.Struct("I")  # a job, by its place in the list: all workers have the list
_LOOK = 0.5  # seconds between two checks of whether our parent still runs


class ProcessPool:
    """`count` processes that call `do(n)` for the numbers that they are given, at most until `ends`."""

    def __init__(self, count: int, do: Callable[[int], None], ends: float) -> None:
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGCHLD})  # so that finish() hears each end
        self._ends, self._parent = ends, os.getppid()
        self._out, self._in = os.pipe()
        self._pids = {self._fork(do) for _ in range(count)}
        os.close(self._out)

    def give(self, number: int) -> None:
        """Let one of them do this job."""
        os.write(self._in, _NUMBER.pack(number))

    def finish(self) -> None:
        """Return when all is done, time is up, or who started us is gone; kill what still is at work."""
        os.close(self._in)
        while self._pids and (left := self._ends - time.monotonic()) > 0 and os.getppid() == self._parent:
            signal.sigtimedwait({signal.SIGCHLD}, min(left, _LOOK))
            self._pids -= {pid for pid in self._pids if os.waitpid(pid, os.WNOHANG)[0]}
        for pid in self._pids:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)

    def _fork(self, do: Callable[[int], None]) -> int:
        pid = os.fork()
        if pid:
            return pid
        os.close(self._in)
        signal.setitimer(signal.ITIMER_REAL, max(0.001, self._ends - time.monotonic()))  # ends even an orphan
        try:
            while number := os.read(self._out, _NUMBER.size):
                do(*_NUMBER.unpack(number))
        finally:
            os._exit(0)  # not back into the code of the one that forked
