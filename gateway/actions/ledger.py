"""The orders that were accepted and how far they are: in memory, with a copy on disk that holds no secret.

An order that was under way when the worker ended is shown as interrupted: it is not repeated, because
parts of it may have come about.
"""

from __future__ import annotations

import secrets
import threading
from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path

import msgspec

from gateway.actions.orders import Result
from gateway.refusals import Conflicting, TooMany
from onext import atomic, bounds, log

RUNNING, DONE, FAILED, INTERRUPTED = "running", "done", "failed", "interrupted"
MOST = 500  # orders that are remembered
MOST_RUNNING, MOST_OF_USER = 16, 4  # at once
_LINES, _LONGEST = 50, 300
_LARGEST = 16 << 20  # bytes of the file
_log = log.get("gateway")


class Entry(msgspec.Struct, kw_only=True):
    """One order; `words` is a digest of it, by which a key that is used twice is recognised."""

    id: str
    user_id: int
    user: str
    key: str
    words: str
    action: str
    target: str
    began: float
    state: str = RUNNING
    ended: float | None = None
    output: list[str] = []

    def result(self) -> Result:
        """Return what the API shows."""
        return Result(
            id=self.id, action=self.action, target=self.target, user=self.user, state=self.state,
            began=self.began, ended=self.ended, output=self.output,
        )  # fmt: skip


_FILE = msgspec.json.Decoder(list[Entry])


class Ledger:
    """All orders of this server."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._lock = threading.Lock()
        self._entries: OrderedDict[str, Entry] = OrderedDict((one.id, one) for one in _read(file))
        for one in self._entries.values():
            if one.state == RUNNING:
                one.state = INTERRUPTED
                one.output = ["the worker ended meanwhile; parts of it may have come about"]

    def begin(self, entry: Entry) -> tuple[Result, bool]:
        """Return the order, and whether it is new: of a key that its user used before, the first one.

        Raises Conflicting where the key was another order's, TooMany, or OSError.
        """
        with self._lock:
            for known in self._entries.values() if entry.key else ():
                if (known.user_id, known.key) == (entry.user_id, entry.key):
                    if known.words != entry.words:
                        raise Conflicting("this Idempotency-Key was used for another order")
                    return known.result(), False
            running = [one.user_id for one in self._entries.values() if one.state == RUNNING]
            if len(running) >= MOST_RUNNING or running.count(entry.user_id) >= MOST_OF_USER:
                raise TooMany("too many orders are under way", retry=30)
            self._entries[entry.id] = entry
            self._prune()
            try:
                self._save()
            except OSError:
                del self._entries[entry.id]  # after a restart the key would start it again
                raise
            return entry.result(), True

    def end(self, number: str, state: str, output: Sequence[str], now: float) -> None:
        """Record how an order ended."""
        with self._lock:
            entry = self._entries[number]
            entry.state, entry.ended = state, now
            entry.output = [bounds.words(line, _LONGEST) for line in output if line.strip()][-_LINES:]
            try:
                self._save()
            except OSError as error:
                _log.warning("the result of an order was not written: %s", error)

    def get(self, number: str) -> tuple[int, Result] | None:
        """Return the id of an order's user and what is known of it, None where it is not known."""
        with self._lock:
            entry = self._entries.get(number)
            return None if entry is None else (entry.user_id, entry.result())

    def _prune(self) -> None:
        for number in [one.id for one in self._entries.values() if one.state != RUNNING]:
            if len(self._entries) <= MOST:
                return
            del self._entries[number]

    def _save(self) -> None:
        self._file.parent.mkdir(parents=True, exist_ok=True)
        atomic.write(self._file, msgspec.json.encode(list(self._entries.values())), mode=0o600)


def number() -> str:
    """Return the id of a new order."""
    return secrets.token_hex(16)


def _read(file: Path) -> list[Entry]:
    try:
        if file.stat().st_size > _LARGEST:
            return []
        return _FILE.decode(file.read_bytes())
    except FileNotFoundError:
        return []
    except (OSError, ValueError, msgspec.MsgspecError, RecursionError) as error:
        _log.warning("%s: earlier orders cannot be read: %s", file, error)
        return []
