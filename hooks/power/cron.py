"""Windows of time in the five fields of cron: minute, hour, day of month, month, day of week."""

from __future__ import annotations

import time
from dataclasses import dataclass

RANGES = ((0, 59), (0, 23), (1, 31), (1, 12), (0, 7))
NAMES = ("minute", "hour", "day of month", "month", "day of week")


@dataclass(frozen=True)
class Window:
    """The minutes of local time that match an expression such as `* 20-23,0-5 * * 1-5`."""

    text: str
    fields: tuple[frozenset[int], ...]

    @classmethod
    def parse(cls, text: str) -> Window:
        """Read an expression; raise ValueError, which names the wrong field."""
        parts = text.split()
        if len(parts) != len(RANGES):
            raise ValueError(f"{text!r} has {len(parts)} fields, cron's five are {', '.join(NAMES)}")
        fields = (_field(*item) for item in zip(parts, RANGES, NAMES, strict=True))
        return cls(text, tuple(fields))

    def contains(self, when: float) -> bool:
        """Whether a Unix time lies in the window; as in cron, a day may match by date or by weekday."""
        local = time.localtime(when)
        minute, hour, day, month, weekday = self.fields
        if local.tm_min not in minute or local.tm_hour not in hour or local.tm_mon not in month:
            return False
        by_date, by_weekday = local.tm_mday in day, (local.tm_wday + 1) % 7 in weekday
        either = len(day) < RANGES[2][1] and len(weekday) < RANGES[4][1]
        return (by_date or by_weekday) if either else (by_date and by_weekday)

    def longest(self, begin: float, days: int = 8) -> int:
        """Return the minutes of the longest time without a break in the days from `begin` on."""
        longest = length = 0
        for minute in range(days * 1440):
            length = length + 1 if self.contains(begin + 60.0 * minute) else 0
            longest = max(longest, length)
        return longest


def _field(text: str, limits: tuple[int, int], name: str) -> frozenset[int]:
    values: set[int] = set()
    for part in text.split(","):
        try:
            values.update(_part(part, limits))
        except ValueError:
            low, high = limits
            raise ValueError(f"{name} {part!r} is not *, a number or a range within {low}-{high}") from None
    return frozenset(value % 7 for value in values) if name == "day of week" else frozenset(values)


def _part(text: str, limits: tuple[int, int]) -> range:
    span, _, step = text.partition("/")
    low, high = limits
    if span != "*":
        first, dash, last = span.partition("-")
        low, high = int(first), int(last) if dash else int(first)
    if not limits[0] <= low <= high <= limits[1]:
        raise ValueError(text)
    return range(low, high + 1, int(step) if step else 1)
