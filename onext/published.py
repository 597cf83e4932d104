"""What the worker publishes for the gateway: documents and recent events, in files that can be made again.

The folder is below `state`, which other accounts cannot enter. The gateway's unit makes this folder alone
visible to its own account, read-only; so the files themselves may be readable.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from onext import atomic
from onext.paths import Paths

FOLDER = "published"
JOURNAL = "events.jsonl"
LARGEST = 32 << 20  # bytes of one file that are read
_ROTATE, _KEEP = 4 << 20, 2 << 20  # bytes of the journal
_MODE = 0o644


def folder(paths: Paths) -> Path:
    """Return where the files are on this front-end."""
    return paths.state / FOLDER


def write(paths: Paths, name: str, document: Mapping[str, object]) -> None:
    """Publish a document under a name; raise OSError."""
    text = json.dumps(document, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    atomic.write(_made(paths) / f"{name}.json", text.encode(), mode=_MODE)


def remove(paths: Paths, name: str) -> None:
    """Withdraw a document."""
    (folder(paths) / f"{name}.json").unlink(missing_ok=True)


def read(place: Path, name: str) -> Mapping[str, object] | None:
    """Return a document, None where it is missing, too large or not JSON."""
    try:
        with (place / f"{name}.json").open("rb") as file:
            text = file.read(LARGEST + 1)
        found = json.loads(text) if len(text) <= LARGEST else None
    except (OSError, ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def append(paths: Paths, lines: Sequence[Mapping[str, object]], *, anew: bool = False) -> None:
    """Add events to the journal, oldest first; `anew` begins it again. Raises OSError."""
    file = _made(paths) / JOURNAL
    text = "".join(json.dumps(line, ensure_ascii=False, separators=(",", ":")) + "\n" for line in lines)
    if anew or not file.exists():
        atomic.write(file, text.encode(), mode=_MODE)
        return
    with file.open("ab") as stream:
        stream.write(text.encode())
        size = stream.tell()
    if size > _ROTATE:
        rest = file.read_bytes()[-_KEEP:]
        atomic.write(file, rest[rest.find(b"\n") + 1 :], mode=_MODE)


def last(paths: Paths) -> tuple[int, int]:
    """Return epoch and number of the newest event in the journal, (0, 0) without one."""
    try:
        with (folder(paths) / JOURNAL).open("rb") as file:
            file.seek(max(0, file.seek(0, 2) - (1 << 16)))
            line = json.loads(file.read().splitlines()[-1])
        return int(line["epoch"]), int(line["number"])
    except (OSError, ValueError, IndexError, KeyError, TypeError, RecursionError):
        return 0, 0


def _made(paths: Paths) -> Path:
    place = folder(paths)
    if not place.is_dir():
        place.mkdir(parents=True, exist_ok=True)
        place.chmod(0o755)
    return place
