"""How others see that the worker works: a file that its loop touches every two seconds."""

from __future__ import annotations

import os
import time
from contextlib import suppress
from pathlib import Path

from onext.paths import Paths

LATE = 15.0  # seconds after which a worker that holds its lock counts as not working
_EVERY = 2.0
FILE = "worker.alive"  # below var


class Heartbeat:
    """Touches the file at most every two seconds; writes no data, so that a full disk does not matter."""

    def __init__(self, paths: Paths) -> None:
        self._file = paths.var / FILE
        with suppress(OSError):
            self._file.touch(0o640)
        self._last = float("-inf")

    def beat(self) -> None:
        """Note that the loop turns."""
        if time.monotonic() - self._last >= _EVERY:
            self._last = time.monotonic()
            with suppress(OSError):
                os.utime(self._file)


def age(paths: Paths) -> float | None:
    """Return the seconds since the worker's loop turned last, None where it never did."""
    try:
        return abs(time.time() - Path(paths.var / FILE).stat().st_mtime)  # set back, the clock hides nothing
    except OSError:
        return None
