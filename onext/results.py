"""What became of each key, for `onext status`: kept in one file that can be made again."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

from onext import atomic

FILE = "results.json"
MOST = 20_000  # the oldest are forgotten


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
    _saved: float = 0.0
    _changed: bool = False

    def record(self, key: object, result: Result) -> None:
        """Keep a result."""
        self._results.pop(str(key), None)
        self._results[str(key)] = result
        if len(self._results) > MOST:
            del self._results[next(iter(self._results))]
        self._changed = True

    def says(self, key: object, message: str) -> bool:
        """Whether the last result of a key was this message."""
        return str(key) in self._results and self._results[str(key)].message == message

    def forget(self, key: object) -> None:
        """Drop what was known of a key: nothing was looked at, or the object is gone."""
        self._changed |= self._results.pop(str(key), None) is not None

    def save(self, *, force: bool = False) -> None:
        """Write the file where something changed."""
        if self._changed and (force or time.monotonic() - self._saved > 1):
            document = {key: asdict(result) for key, result in self._results.items()}
            atomic.write(self.file, json.dumps(document).encode())
            self._saved, self._changed = time.monotonic(), False

    @classmethod
    def load(cls, file: Path) -> Results:
        """Read the file; what is missing or cut counts as nothing known."""
        return cls(file, dict(read(file)))


def read(file: Path) -> Mapping[str, Result]:
    """Return the results in a file, none where it is missing or not ours."""
    try:
        return {key: Result(**value) for key, value in json.loads(file.read_bytes()).items()}
    except (OSError, ValueError, TypeError, AttributeError):
        return {}
