"""A cache that remembers for seconds, and makes each value once however many wait for it."""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class _Entry(Generic[T]):
    made: float
    value: asyncio.Future[T]


class ShortCache(Generic[T]):
    """At most `most` values, each for `seconds`; failures are not remembered. Keys are digests."""

    def __init__(self, seconds: float, most: int) -> None:
        self._seconds, self._most = seconds, most
        self._entries: OrderedDict[object, _Entry[T]] = OrderedDict()

    async def get(self, key: object, make: Callable[[], Awaitable[T]], max_age: float | None = None) -> T:
        """Return the value of a key, made anew where it is older than `max_age` (default: the cache's)."""
        entry, age = self._entries.get(key), self._seconds if max_age is None else max_age
        if entry is None or (entry.value.done() and time.monotonic() - entry.made > age):
            entry = _Entry(time.monotonic(), asyncio.ensure_future(make()))
            self._entries.pop(key, None)
            self._entries[key] = entry
            entry.value.add_done_callback(lambda done: self._forget_failure(key, done))
            self._prune()
        elif entry.value.done():
            return entry.value.result()
        return await asyncio.shield(entry.value)

    def forget(self, key: object) -> None:
        """Drop a value."""
        self._entries.pop(key, None)

    def _forget_failure(self, key: object, done: asyncio.Future[T]) -> None:
        entry = self._entries.get(key)
        if (done.cancelled() or done.exception()) and entry is not None and entry.value is done:
            del self._entries[key]

    def _prune(self) -> None:
        now = time.monotonic()
        while self._entries:
            key, entry = next(iter(self._entries.items()))
            old = entry.value.done() and now - entry.made > self._seconds
            if not old and len(self._entries) <= self._most:
                return
            del self._entries[key]
