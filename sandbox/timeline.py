"""What happens later: one thread that does each thing when its time has come."""

import heapq
import itertools
import threading
import time
from collections.abc import Callable


class Timeline:
    """A queue of deferred actions. An action that raises goes to `failed` and stops nothing."""

    def __init__(self, failed: Callable[[Exception], None]) -> None:
        self._failed = failed
        self._queue: list[tuple[float, int, Callable[[], None]]] = []
        self._numbers = itertools.count()
        self._changed = threading.Condition()
        self._ended = False
        self._thread = threading.Thread(target=self._run, name="timeline", daemon=True)

    def start(self) -> None:
        """Begin to act."""
        self._thread.start()

    def stop(self) -> None:
        """Do nothing more."""
        with self._changed:
            self._ended = True
            self._changed.notify()

    def later(self, seconds: float, action: Callable[[], None]) -> None:
        """Do this after so many seconds."""
        with self._changed:
            heapq.heappush(self._queue, (time.monotonic() + seconds, next(self._numbers), action))
            self._changed.notify()

    def every(self, seconds: float, action: Callable[[], None]) -> None:
        """Do this again and again, the first time after so many seconds."""

        def again() -> None:
            self.later(seconds, again)
            action()

        self.later(seconds, again)

    def _run(self) -> None:
        while action := self._next():
            try:
                action()
            except Exception as error:  # noqa: BLE001  the outermost edge of this thread
                self._failed(error)

    def _next(self) -> Callable[[], None] | None:
        with self._changed:
            while not self._ended:
                wait = self._queue[0][0] - time.monotonic() if self._queue else None
                if wait is not None and wait <= 0:
                    return heapq.heappop(self._queue)[2]
                self._changed.wait(wait)
        return None
