"""The timelines of incidents: one file for each host, of bounded size, kept for `history_days`."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from onext import bounds, log

LARGEST = 1 << 20  # bytes of one file; the one before is kept beside it
LONGEST_LINE = 1 << 16
_MOST_LINES, _LONGEST = 32, 400  # of one entry
_DAY = 86_400.0
_LATEST = 1e11  # a Unix time that every calendar can show
_log = log.get("availability")


@dataclass(frozen=True)
class Timeline:
    """Where entries are written; a full disk never stops a fencing."""

    folder: Path

    def add(self, at: float, host: int, what: str, lines: Sequence[str]) -> None:
        """Append an entry about a host."""
        texts = [line[:_LONGEST] for line in lines[:_MOST_LINES]]
        file = self.folder / f"host-{host}.jsonl"
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            if file.exists() and file.stat().st_size > LARGEST:
                file.replace(file.with_suffix(".old"))
            with file.open("a", encoding="utf-8") as stream:
                stream.write(json.dumps({"at": at, "host": host, "what": what, "lines": texts}) + "\n")
        except OSError as error:
            _log.warning("the timeline of host %d was not written: %s", host, error)

    def prune(self, days: int) -> None:
        """Delete the files in which nothing was written for so many days."""
        for file in self._files():
            try:
                if time.time() - file.stat().st_mtime > days * _DAY:
                    file.unlink()
            except OSError as error:
                _log.warning("%s was not deleted: %s", file, error)

    def entries(self, host: int | None = None) -> list[dict[str, object]]:
        """Return the entries about one host or all, the oldest first; cut lines are left out."""
        wanted = [file for file in self._files() if host is None or file.stem == f"host-{host}"]
        found = [entry for file in wanted for entry in _entries(file)]
        return sorted(found, key=lambda entry: float(str(entry["at"])))

    def _files(self) -> list[Path]:
        return sorted([*self.folder.glob("host-*.jsonl"), *self.folder.glob("host-*.old")])


def _entries(file: Path) -> Iterator[dict[str, object]]:
    try:
        with file.open(encoding="utf-8", errors="replace") as stream:
            yield from filter(None, map(_entry, _lines(stream)))
    except OSError:
        return


def _lines(stream: Iterable[str]) -> Iterable[str]:
    return (line for line in stream if len(line) <= LONGEST_LINE)


def _entry(line: str) -> dict[str, object] | None:
    try:
        found = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) and _is_entry(found) else None


def _is_entry(found: dict[str, object]) -> bool:
    """Return whether a line is one that `add` writes: the file may be damaged, or edited by a person."""
    at, host, lines = found.get("at"), found.get("host"), found.get("lines")
    return (
        type(at) in (int, float)
        and bounds.number(str(at), 0, _LATEST) is not None
        and type(host) is int
        and isinstance(found.get("what"), str)
        and isinstance(lines, list)
        and all(isinstance(line, str) for line in lines)
    )
