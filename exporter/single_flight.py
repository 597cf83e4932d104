"""Single flight: callers that come while a collection runs share the next one; none gets older data."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Generic, TypeVar

Result = TypeVar("Result")


def gather() -> None:
    """Wait for those who ask at the same moment: a fiftieth of a second, little beside a collection."""
    time.sleep(0.02)


class SingleFlight(Generic[Result]):
    """Runs `collect` so that each caller's answer was begun after the call, and one run serves them all.

    Twenty callers at once cost one run, or two where some come after `pause` and wait for the next.
    """

    def __init__(self, collect: Callable[[], Result], pause: Callable[[], None] = gather) -> None:
        self._collect, self._pause = collect, pause
        self._change = threading.Condition()
        self._started = self._finished = 0
        self._led = False  # one caller pauses or runs
        self._result: Result | None = None
        self._error: BaseException | None = None

    def __call__(self) -> Result:
        """Return a page that was begun after this call; raise what `collect` raised."""
        with self._change:
            ticket = self._started + 1
            while self._finished < ticket and self._led:
                self._change.wait()
            if self._finished >= ticket:
                return self._outcome()
            self._led = True
        self._pause()
        with self._change:
            self._started += 1
        self._run()
        with self._change:
            return self._outcome()

    def _run(self) -> None:
        result, error = None, None
        try:
            result = self._collect()
        except BaseException as raised:  # noqa: BLE001 - handed to every caller, raised there
            error = raised
        with self._change:
            self._result, self._error = result, error
            self._finished, self._led = self._started, False
            self._change.notify_all()

    def _outcome(self) -> Result:
        if self._error is not None:
            raise self._error
        assert self._result is not None
        return self._result
