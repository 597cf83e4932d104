"""Warnings of the worker, each once: a failure that comes again and again is one line in an hour."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

AGAIN = 3600.0  # seconds after which the same warning is logged again
_MOST = 500  # warnings that are remembered


class Warnings:
    """Logs a message of a part unless it was logged within the last hour."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._logged: dict[tuple[str, str], float] = {}

    def warn(self, part: str, message: str, reason: object) -> None:
        """Log `message`, with `reason` in place of its %s; the same reason of a part once."""
        if self._new(part, str(reason)):
            logging.getLogger(f"onext.{part}").warning(message, reason)

    def failure(self, part: str, message: str, error: BaseException | None = None) -> None:
        """Log a fault of a part with its traceback; without `error` that of the exception in hand."""
        if self._new(part, f"{message}{error!r}"):
            logging.getLogger(f"onext.{part}").error(message, exc_info=error or True)

    def _new(self, part: str, reason: str) -> bool:
        now, key = self._clock(), (part, reason)
        if now - self._logged.get(key, float("-inf")) < AGAIN:
            return False
        self._logged.pop(key, None)
        self._logged[key] = now
        if len(self._logged) > _MOST:
            del self._logged[next(iter(self._logged))]
        return True
