"""Whether this server may change anything."""

from __future__ import annotations

import logging
import time

from onext.oned.errors import OnedError
from onext.part import Context

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
            self._say(logging.WARNING, f"nothing is changed: {error}")
            return False
        self._say(
            logging.INFO, f"oned says {raft.state.name}" + ("" if raft.acts else ": nothing is changed here")
        )
        return raft.acts

    def _say(self, level: int, message: str) -> None:
        """Log what is new: the same every five seconds would bury everything else."""
        if message != self._said:
            _log.log(level, "%s", message)
            self._said = message
