"""The epoch: which leader's events count. A new leader gets a higher one by a write that the zone accepted.

A leader that is cut off still believes that it leads; its writes do not return, so its right to send ends.
Receivers drop events of a lower epoch than the highest that they saw.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from onext import bounds
from onext.oned.client import Raft
from onext.oned.documents import Documents, Kind

ZONE = 0  # the number of the only record
RENEW = 30.0  # seconds between two writes
RIGHT = 90.0  # seconds after a write began during which its server may send
_MOST = 10**9


@dataclass(frozen=True, slots=True)
class Term:
    """Who sends: the epoch, and the server and Raft term that it was given to."""

    epoch: int
    server: int
    term: int
    at: float = 0.0


def _encode(term: Term) -> Mapping[str, str]:
    return {
        "EPOCH": str(term.epoch), "SERVER": str(term.server), "TERM": str(term.term), "AT": f"{term.at:.0f}",
    }  # fmt: skip


def _decode(values: Mapping[str, str]) -> Term:
    epoch = bounds.whole(values["EPOCH"], 0, _MOST)
    server = bounds.whole(values["SERVER"], -1, 10**6)
    term = bounds.whole(values["TERM"], -1, 10**12)
    if epoch is None or server is None or term is None:
        raise ValueError("EPOCH, SERVER and TERM must be integers")
    return Term(epoch, server, term, bounds.number(values.get("AT"), 0, 1e12) or 0.0)


KIND: Kind[Term] = Kind("epoch", _encode, _decode)


@dataclass
class Epoch:
    """The epoch of this process; `may_send` is False as soon as the last write is too old."""

    monotonic: Callable[[], float] = time.monotonic
    number: int = 0
    _until: float = field(default=float("-inf"))
    _renewed: float = field(default=float("-inf"))
    _anew: bool = False

    def begin_anew(self) -> None:
        """Take a new epoch at the next renewal: what was known of the sinks is lost."""
        self._anew, self._renewed, self._until = True, float("-inf"), float("-inf")

    def renew(self, documents: Documents[Term], raft: Raft, now: float) -> bool:
        """Write the record where it is due; return whether the epoch is a new one. Raises an OnedError."""
        began = self.monotonic()
        if self.number and began - self._renewed < RENEW:
            return False
        stored = documents.get(ZONE)
        held = stored.value if stored else None
        same = held is not None and (held.server, held.term) == (raft.server_id, raft.term)
        ours = same and not self._anew
        fresh = not ours or held is None
        epoch = held.epoch if ours and held else (held.epoch if held else self.number) + 1
        documents.put(ZONE, Term(epoch, raft.server_id, raft.term, now), stored.version if stored else None)
        self.number, self._renewed, self._until, self._anew = epoch, began, began + RIGHT, False
        return fresh

    @property
    def may_send(self) -> bool:
        """Return whether the last write that returned began recently enough."""
        return self.monotonic() < self._until
