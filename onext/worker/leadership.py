"""Whether this server may change anything."""

from __future__ import annotations

import logging
import time
from contextlib import suppress

from onext import atomic
from onext.oned.errors import OnedError
from onext.part import Context

FILE = "leadership"  # in the state folder: what was said last, for `onext status`
AGE = 5.0  # seconds for which an answer of one.zone.raftstatus is believed
_log = logging.getLogger("onext.worker")


class Leadership:
    """Asks oned whether this server is SOLO or LEADER, again when the answer is old; no answer is a no."""

    def __init__(self) -> None:
        self.changed = False  # it just became leader; whoever reacts sets it back
        self._asked: float | None = None
        self._acts = False
        self._said = ""

    def acts(self, context: Context) -> bool:
        """Return whether oned said so within the last seconds."""
        if self._asked is None or time.monotonic() - self._asked >= AGE:
            before, self._acts = self._acts, self._ask(context)
            self._asked = time.monotonic()
            self.changed |= self._acts and not before
        return self._acts

    def _ask(self, context: Context) -> bool:
        try:
            raft = context.oned.raft()
        except OnedError as error:
            self._say(context, logging.WARNING, f"nothing is changed: {error}")
            return False
        more = "" if raft.acts else ": nothing is changed here"
        self._say(context, logging.INFO, f"oned says {raft.state.name}{more}")
        return raft.acts

    def _say(self, context: Context, level: int, message: str) -> None:
        """Log and keep what is new: the same every five seconds would bury everything else."""
        if message != self._said:
            _log.log(level, "%s", message)
            with suppress(OSError):  # a full disk must not end the worker for it
                context.paths.state.mkdir(parents=True, exist_ok=True)
                atomic.write(context.paths.state / FILE, message.encode())
            self._said = message


def said(context: Context) -> str:
    """Return what the worker heard last, "" before it ever asked."""
    try:
        return (context.paths.state / FILE).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
