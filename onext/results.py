"""What became of each key, for `onext status`: kept in one file that can be made again.

The file is one JSON object: [Unix time, seconds taken, ok, message, seconds until the next try] by key.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from onext import atomic, bounds

FILE = "results.json"
MOST = 20_000  # the oldest are forgotten
_LONGEST = 500  # characters of a message
_LARGEST = 16_777_216  # bytes of the file


@dataclass(frozen=True)
class Result:
    """The last result of a key; `at` is a Unix time, `took` are seconds, `retry` seconds or None."""

    at: float
    took: float
    ok: bool
    message: str
    retry: float | None = None


@dataclass
class Results:
    """All last results; `save` writes them at most once a second."""

    file: Path
    _results: dict[str, Result] = field(default_factory=dict)
    _saved: float = float("-inf")
    _changed: bool = False

    def record(self, key: object, result: Result) -> None:
        """Keep a result."""
        self._results.pop(str(key), None)
        self._results[str(key)] = result
        if len(self._results) > MOST:
            del self._results[next(iter(self._results))]
        self._changed = True

    def repeats(self, key: object, message: str) -> bool:
        """Whether the last result of a key was this message."""
        return str(key) in self._results and self._results[str(key)].message == message

    def forget(self, key: object) -> None:
        """Drop what was known of a key: there was nothing to do, or the object is gone."""
        self._changed |= self._results.pop(str(key), None) is not None

    def keep(self, parts: Iterable[str]) -> None:
        """Forget the results of parts that are not installed, or had another name."""
        known = set(parts)
        for key in [key for key in self._results if key.partition(".")[0] not in known]:
            self.forget(key)

    def save(self, *, force: bool = False) -> None:
        """Write the file where something changed; raise OSError, and try again a second later."""
        if self._changed and (force or time.monotonic() - self._saved > 1):
            self._saved = time.monotonic()
            rows = {key: _row(result) for key, result in self._results.items()}
            atomic.write(self.file, json.dumps(rows, separators=(",", ":"), ensure_ascii=False).encode())
            self._changed = False

    @classmethod
    def load(cls, file: Path) -> Results:
        """Read the file; what is missing or cut counts as nothing known."""
        return cls(file, dict(read(file)))


def read(file: Path) -> Mapping[str, Result]:
    """Return the results in a file, without those that are invalid; none where it is missing."""
    try:
        if file.stat().st_size > _LARGEST:
            return {}
        rows = json.loads(file.read_bytes())
    except (OSError, ValueError, RecursionError):
        return {}
    found = {key: _result(value) for key, value in rows.items()} if isinstance(rows, dict) else {}
    return {key: result for key, result in found.items() if result is not None}


def _row(result: Result) -> list[object]:
    retry = None if result.retry is None else round(result.retry)
    message = bounds.words(result.message, _LONGEST)
    row = [round(result.at), round(result.took, 2), int(result.ok), message]
    return row if retry is None else [*row, retry]


def _result(value: object) -> Result | None:
    """Read a row, also in the form of the version before, an object; None where it is invalid."""
    if isinstance(value, dict):
        value = [value.get(key) for key in ("at", "took", "ok", "message", "retry")]
    if not isinstance(value, list) or len(value) not in (4, 5) or not isinstance(value[3], str):
        return None
    at, took = (bounds.number(str(item), 0, 1e11) for item in value[:2])
    retry = bounds.number(str(value[4]), 0, 1e6) if len(value) == 5 and value[4] is not None else None
    return None if at is None or took is None else Result(at, took, bool(value[2]), value[3], retry)
