"""A day of each host's watts, kept in memory: one figure every five minutes since this process began."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence

EVERY = 300.0  # seconds
_DAY = 288  # figures
_MOST_HOSTS = 10_000


class WattsHistory:
    """Samples what the worker published."""

    def __init__(
        self, watts: Callable[[], Mapping[int, float]], now: Callable[[], float] = time.time
    ) -> None:
        self._watts, self._now = watts, now
        self._last = float("-inf")
        self._hosts: dict[int, deque[tuple[float, float]]] = {}

    def sample(self) -> None:
        """Take a figure of each host where the last one is old enough; forget hosts that are gone."""
        now = self._now()
        if 0 <= now - self._last < EVERY:
            return
        self._last = now
        current = dict(list(self._watts().items())[:_MOST_HOSTS])
        self._hosts = {host: self._hosts.get(host, deque(maxlen=_DAY)) for host in current}
        for host, watts in current.items():
            self._hosts[host].append((now, watts))

    def of(self, host: int) -> Sequence[tuple[float, float]]:
        """Return (time, watts) of a host, the oldest first."""
        return list(self._hosts.get(host, ()))
