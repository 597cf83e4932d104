"""What waits, what is in work, and when a failure is tried again: it has neither threads nor a clock."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from onext.part import Key

FIRST_DELAY = 2.0  # seconds
LONGEST_DELAY = 600.0


@dataclass
class _Entry:
    due: float
    delay: float = 0.0  # before the last try, which failed
    first: float | None = None  # when the first event came that is not answered yet


@dataclass
class Queue:
    """Keys by the time when they are due; a key is in work once, and again if an event came meanwhile.

    A key is due `settle` seconds after the last event, and at most `longest` seconds after the first.
    """

    settle: float = 0.0
    longest: float = 0.0
    _waiting: dict[Key, _Entry] = field(default_factory=dict)
    _working: dict[Key, _Entry] = field(default_factory=dict)

    def add(self, key: Key, now: float) -> None:
        """Let a key be due once its events settle; an event also ends the waiting after a failure."""
        entry = self._waiting.setdefault(key, _Entry(float("inf")))
        quiet = now + self.settle
        if entry.first is None:
            entry.first, entry.due = now, min(entry.due, quiet)
        else:
            entry.due = min(entry.first + self.longest, max(entry.due, quiet))

    def offer(self, keys: Iterable[Key], now: float) -> None:
        """Let keys that a sweep found be due, without disturbing a back-off or work under way."""
        for key in keys:
            if key not in self._waiting and key not in self._working:
                self._waiting[key] = _Entry(now)

    def due(self, now: float) -> list[Key]:
        """Return what may start: due, and not in work."""
        return [k for k, entry in self._waiting.items() if entry.due <= now and k not in self._working]

    def start(self, key: Key) -> None:
        """Note that a key is in work."""
        self._working[key] = self._waiting.pop(key)

    def done(self, key: Key) -> None:
        """Note a success."""
        self._working.pop(key)

    def later(self, key: Key, due: float) -> None:
        """Let a key be due then, unless it is sooner anyway."""
        self._waiting.setdefault(key, _Entry(due))

    def busy(self, key: Key, due: float) -> None:
        """Note that a key could not be begun: it is due then, and has not failed."""
        self._waiting.setdefault(key, _Entry(due, self._working.pop(key).delay))

    def failed(self, key: Key, now: float) -> float:
        """Note a failure and return the seconds until the next try: 2, 4, 8 … 600."""
        delay = min(LONGEST_DELAY, 2 * self._working.pop(key).delay or FIRST_DELAY)
        self._waiting.setdefault(key, _Entry(now + delay)).delay = delay
        return delay

    def in_work(self, key: Key) -> bool:
        """Whether a key is in work."""
        return key in self._working

    def waits(self, key: Key) -> bool:
        """Whether an event for this key came while it was in work."""
        return key in self._waiting

    def next_due(self) -> float | None:
        """Return when the next waiting key is due; None when none waits."""
        return min((e.due for k, e in self._waiting.items() if k not in self._working), default=None)

    def __len__(self) -> int:
        """Return how many keys wait or are in work."""
        return len(self._waiting.keys() | self._working.keys())
