"""Single flight: who asks while a collection runs shares the next one, and nobody gets older data."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Generic, TypeVar

Page = TypeVar("Page")


class Flight(Generic[Page]):
    """Runs `collect` so that each caller's answer was begun after the call, and one run serves them all.

    Twenty callers at once cost two runs: that of the first, and one for the nineteen that came during it.
    """

    def __init__(self, collect: Callable[[], Page]) -> None:
        self._collect = collect
        self._change = threading.Condition()
        self._started = self._finished = 0
        self._result: Page | None = None
        self._error: BaseException | None = None

    def __call__(self) -> Page:
        """Return a page that was begun after this call; raise what `collect` raised."""
        with self._change:
            ticket = self._started + 1
            while self._finished < ticket and self._started > self._finished:
                self._change.wait()
            if self._finished >= ticket:
                return self._outcome()
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
            self._finished = self._started
            self._change.notify_all()

    def _outcome(self) -> Page:
        if self._error is not None:
            raise self._error
        assert self._result is not None
        return self._result
