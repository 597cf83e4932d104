"""How long a collector takes, and work beside it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Generic, TypeVar

from exporter.exposition import Samples

Result = TypeVar("Result")


@contextmanager
def timed(samples: Samples, collector: str, clock: Callable[[], float]) -> Iterator[None]:
    """Add the duration of what is done within as `opennebula_scrape_duration_seconds`."""
    begun = clock()
    yield
    took = round(clock() - begun, 6)
    samples.add("opennebula_scrape_duration_seconds", took, collector=collector)


class Background(Generic[Result]):
    """A call in a separate thread; `result` waits for it and raises what it raised."""

    def __init__(self, call: Callable[[], Result]) -> None:
        self._call = call
        self._result: Result | None = None
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            self._result = self._call()
        except BaseException as error:  # noqa: BLE001 - raised again where the result is asked for
            self._error = error

    def result(self) -> Result:
        """Return what the call returned."""
        self._thread.join()
        if self._error is not None:
            raise self._error
        return self._result  # type: ignore[return-value]  # the call has returned
