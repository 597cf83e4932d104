"""WINDOW: the minutes of local time in which hosts may be powered off, in the five fields of cron."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timezone

from cronsim import CronSim, CronSimError

FIELDS = ("minute", "hour", "day of month", "month", "day of week")
EXAMPLE = "* 20-23,0-5 * * 1-5"
LONGEST = 128  # characters
_LOOKED_AT = 11_520  # minutes: each day of the week is whole in them, wherever they begin
_BEGIN = datetime(2024, 1, 1, tzinfo=timezone.utc)  # from here an expression must match within 50 years


@dataclass(frozen=True)
class Window:
    """The minutes that match an expression such as `* 20-23,0-5 * * 1-5`, read as Debian's cron does."""

    text: str
    _rule: CronSim = field(compare=False, repr=False)

    @classmethod
    def parse(cls, text: str) -> Window:
        """Read an expression; raise ValueError, which names the wrong field, or that none ever matches."""
        if len(text) > LONGEST:
            raise ValueError(f"longer than {LONGEST} characters")
        if len(text.split()) != len(FIELDS):
            raise ValueError(f"{len(text.split())} fields, cron's five are {', '.join(FIELDS)}")
        try:
            rule = CronSim(text, _BEGIN)
            matches = next(CronSim(text, _BEGIN), None) is not None
        except CronSimError as error:
            wrong = str(error)[:1].lower() + str(error)[1:]
            raise ValueError(f"{wrong}: not a window such as {EXAMPLE!r}") from error
        if not matches:
            raise ValueError(f"there is no such day in 50 years: not a window such as {EXAMPLE!r}")
        return cls(text, rule)

    def contains(self, when: float) -> bool:
        """Whether a Unix time lies in the window, in local time."""
        local = datetime.fromtimestamp(when, timezone.utc).astimezone()
        if local.month not in self._rule.months or not self._rule.match_day(local.date()):
            return False
        return local.hour in self._rule.hours and local.minute in self._rule.minutes

    def longest(self, begin: float) -> int:
        """Return the minutes of the longest time without a break in the eight days from `begin` on."""
        longest = length = 0
        for minute in range(_LOOKED_AT):
            length = length + 1 if self.contains(begin + 60.0 * minute) else 0
            longest = max(longest, length)
        return longest
