"""Adds and removes an `Include` line for onext's file in ~/.ssh/config of OpenNebula's account."""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from pathlib import Path

from onext import atomic

_FILE = ".ssh/config"
_LARGEST = 1 << 20  # bytes
_READ = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC


def put(home: Path, included: Path) -> bool:
    """Put the line before all others; return whether it was missing. Raises OSError."""
    file, line = home / _FILE, f"Include {included}\n"
    text = _text(file) if file.exists() else ""
    if line in text:
        return False
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    return atomic.write(file, (line + text).encode(errors="surrogateescape"), 0o600)


def take_out(home: Path, folder: Path) -> bool:
    """Remove the lines that include a file of `folder`, and the file and .ssh if they are empty then.

    Returns whether there was one. Raises OSError.
    """
    file = home / _FILE
    if not file.exists():
        return False
    lines = _text(file).splitlines(keepends=True)
    kept = [line for line in lines if not line.startswith(f"Include {folder}/")]
    if kept == lines:
        return False
    if kept:
        mode = stat.S_IMODE(file.stat().st_mode)
        return atomic.write(file, "".join(kept).encode(errors="surrogateescape"), mode)
    file.unlink()
    with suppress(OSError):  # it holds keys
        file.parent.rmdir()
    return True


def _text(file: Path) -> str:
    with os.fdopen(os.open(file, _READ), "rb") as stream:
        if not stat.S_ISREG(os.fstat(stream.fileno()).st_mode):
            raise OSError(f"{file} is not a file")
        data = stream.read(_LARGEST + 1)
    if len(data) > _LARGEST:
        raise OSError(f"{file} has more than {_LARGEST} bytes")
    return data.decode(errors="surrogateescape")
