"""Limit what a pass logs: each fact once, when it is new, and few lines of what tenants cause."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

PER_PASS = 20  # lines
PER_HOUR = 200  # lines
_HOUR = 3600.0


@dataclass
class NewLines:
    """The lines of the last pass, and how many of this hour were logged."""

    _known: frozenset[str] = frozenset()
    _began: float | None = None  # of this hour, on the caller's clock
    _logged: int = 0

    def of(self, lines: Iterable[str], now: float) -> Iterator[str]:
        """Yield the lines that are new since the last pass, up to the limits, and how many are left out."""
        current = dict.fromkeys(lines)
        new = [line for line in current if line not in self._known]
        self._known = frozenset(current)
        if self._began is None or not 0 <= now - self._began < _HOUR:
            self._began, self._logged = now, 0
        left = PER_HOUR - self._logged
        shown = new[: max(0, min(PER_PASS, left))]
        self._logged += len(shown)
        yield from shown
        if len(shown) < len(new) and left > 0:
            yield f"{len(new) - len(shown)} more lines are not logged: see `onext targets list`"
