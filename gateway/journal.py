"""The recent events of the cloud, as the worker adds them to its journal.

The id of an event is `<epoch>.<number>`: both only grow, so that a client which reconnects with Last-Event-ID
gets what it missed, or is told to read everything again where that is no longer kept.
"""

from __future__ import annotations

import asyncio
import json
from bisect import bisect_right
from collections import deque
from pathlib import Path

import msgspec

from gateway.records import Event
from onext import published

MOST = 5000  # events in memory
EVERY = 0.5  # seconds between two checks of the file
_CHUNK = 4 << 20
Position = tuple[int, int]


class Journal:
    """The newest events, oldest first; `changed` is set for a moment when some were added."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / published.JOURNAL
        self._events: deque[tuple[Position, Event]] = deque(maxlen=MOST)
        self._read: tuple[int, int] = (-1, 0)  # inode and bytes
        self._rest = b""
        self._condition = asyncio.Condition()

    async def follow(self) -> None:
        """Read what is added until cancelled."""
        while True:
            if self.look():
                async with self._condition:
                    self._condition.notify_all()
            await asyncio.sleep(EVERY)

    async def wait(self, seconds: float) -> None:
        """Return when events were added, or after so many seconds."""
        async with self._condition:
            try:
                await asyncio.wait_for(self._condition.wait(), seconds)
            except (TimeoutError, asyncio.TimeoutError):  # two classes until Python 3.11
                return

    def look(self) -> bool:
        """Read what was added to the file; return whether there was anything."""
        try:
            found = self._file.stat()
            inode, at = self._read
            if found.st_ino != inode or found.st_size < at:
                inode, at, self._rest = found.st_ino, 0, b""
            if found.st_size == at:
                self._read = inode, at
                return False
            with self._file.open("rb") as file:
                file.seek(max(at, found.st_size - _CHUNK))
                data = file.read(_CHUNK)
                self._read = inode, file.tell()
        except OSError:
            return False
        *lines, self._rest = (self._rest + data).split(b"\n")
        added = [self._add(line) for line in lines]
        return any(added)

    def newest(self) -> Position:
        """Return the position of the newest event, (0, 0) without one."""
        return self._events[-1][0] if self._events else (0, 0)

    def after(self, position: Position) -> list[tuple[Position, Event]]:
        """Return the events behind a position, the oldest first."""
        events = list(self._events)
        return events[bisect_right(events, position, key=lambda entry: entry[0]) :]

    def keeps(self, position: Position) -> bool:
        """Return whether nothing behind this position is missing here."""
        if not self._events:
            return position == (0, 0)
        first = self._events[0][0]
        return position >= first or position == (first[0], first[1] - 1)

    def _add(self, line: bytes) -> bool:
        try:
            row = json.loads(line)
            position = int(row["epoch"]), int(row["number"])
            event = msgspec.convert(
                {
                    "id": "{}.{}".format(*position), "uid": row["id"], "type": row["type"],
                    "subject": row["subject"],
                    "at": row["time"], "late": row["late"], "data": row["data"], "before": row["before"],
                },
                Event,
            )  # fmt: skip
        except (ValueError, KeyError, TypeError, RecursionError, msgspec.ValidationError):
            return False
        if self._events and position <= self._events[-1][0]:
            return False  # a journal that was shortened is read once more
        self._events.append((position, event))
        return True


def position(text: str) -> Position | None:
    """Return the position that a Last-Event-ID names, None where this journal did not issue it."""
    epoch, _, number = text.partition(".")
    if not all(part.isascii() and part.isdecimal() and len(part) < 16 for part in (epoch, number)):
        return None
    return int(epoch), int(number)
