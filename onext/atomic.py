"""Files that are either as before or as after, never half."""

from __future__ import annotations

import os
import re
import tempfile
from pathlib import Path


def write(path: Path, data: bytes, mode: int = 0o640, owner: tuple[int, int] | None = None) -> bool:
    """Replace `path` by `data`, unless it holds just that already; return whether it was written.

    The new file gets `mode` and, where given, `owner` (uid, gid) before it takes the name.
    Raises OSError, with the old file as it was.
    """
    if _holds(path, data):
        return False
    descriptor, draft = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
            os.fchmod(file.fileno(), mode)
            if owner is not None:
                os.fchown(file.fileno(), *owner)
        Path(draft).replace(path)
    except BaseException:
        Path(draft).unlink(missing_ok=True)
        raise
    return True


def leftovers(path: Path) -> list[Path]:
    """Return the drafts of `path` that a writer which was killed left beside it."""
    form = re.compile(rf"\.{re.escape(path.name)}\.[a-z0-9_]{{8}}")  # mkstemp's eight characters
    try:
        return [file for file in path.parent.iterdir() if form.fullmatch(file.name)]
    except FileNotFoundError:
        return []


def _holds(path: Path, data: bytes) -> bool:
    try:
        return path.read_bytes() == data
    except FileNotFoundError:
        return False
