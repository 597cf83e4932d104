"""Which release of OpenNebula answers: its own exporter's labels differ from release to release."""

from __future__ import annotations

import re
import time
from collections.abc import Callable

from exporter.documents import whole_document
from onext.oned import stream
from onext.oned.errors import OnedError

NEWEST = (7, 4)  # the newest whose exporter was compared with this one
_AGAIN = 300.0  # seconds after which it is asked again: oned may have been upgraded meanwhile
_NUMBERS = re.compile(rb"\s*(\d{1,4})\.(\d{1,4})")


class Release:
    """Oned's release, asked for now and then."""

    def __init__(self, source: stream.Source, clock: Callable[[], float] = time.monotonic) -> None:
        self._source = source
        self._clock = clock
        self._known: tuple[int, int] = NEWEST
        self._asked = float("-inf")

    def __call__(self) -> tuple[int, int]:
        """Return major and minor; while oned does not tell, what it was before, at first the newest."""
        if self._clock() - self._asked >= _AGAIN:
            try:
                found = _NUMBERS.match(whole_document(stream.document(self._source, "system.version"), 256))
            except OnedError:
                return self._known
            if found:
                self._known, self._asked = (int(found[1]), int(found[2])), self._clock()
        return self._known

    def forget(self) -> None:
        """Ask again before the next answer: oned was away, and may have been upgraded."""
        self._asked = float("-inf")
