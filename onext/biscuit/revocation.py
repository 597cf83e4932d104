"""The list of revoked tokens on this server: one revocation id on a line, and what follows is a remark."""

from __future__ import annotations

import fcntl
import os
import re
from collections.abc import Iterable
from pathlib import Path

from onext.biscuit.errors import ListUnusable

FILE = "biscuit-revoked"  # in Paths.own_etc
# A signature: 64 bytes of Ed25519, or DER of P-256.
_ID = re.compile(r"[0-9a-f]{128}|30[0-9a-f]{14,150}")


def identifier(text: str) -> str:
    """Return a revocation id in the spelling of the list; raise ListUnusable for anything else."""
    text = text.strip().lower()
    if not _ID.fullmatch(text) or len(text) % 2:
        raise ListUnusable(f"{text[:20]}…: not a revocation id; `onext biscuit inspect` shows a token's")
    return text


def read(path: Path) -> str:
    """Return the list; raise ListUnusable."""
    try:
        return path.read_text(errors="replace").lower()
    except OSError as error:
        raise ListUnusable(f"{path}: {error.strerror}: the driver refuses every biscuit user") from None


def add(path: Path, identifiers: Iterable[str]) -> list[str]:
    """Add ids to the list and return those that were not in it.

    One write under a lock, synced, taken back when it comes out short: a login sees an id or does not.
    In place, because oneadmin may write the file and not the folder. A list that is missing is not made
    here: what stood in it would be forgotten, and the driver rightly refuses everybody until it is back.
    """
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_APPEND)
    except OSError as error:
        raise ListUnusable(
            f"{path}: {error.strerror}; run as oneadmin or root, where install.sh ran"
        ) from None
    with os.fdopen(descriptor, "r+b", buffering=0) as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        old = file.read() or b""
        new = [i for i in dict.fromkeys(identifiers) if i.encode() not in old.lower()]
        if new:
            start = b"" if old.endswith(b"\n") or not old else b"\n"
            _append(file.fileno(), len(old), start + "".join(f"{i}\n" for i in new).encode(), path)
    return new


def _append(descriptor: int, size: int, data: bytes, path: Path) -> None:
    try:
        written = os.write(descriptor, data)
        os.fsync(descriptor)
    except OSError as error:
        os.ftruncate(descriptor, size)
        raise ListUnusable(f"{path}: {error.strerror}; nothing was added") from None
    if written != len(data):
        os.ftruncate(descriptor, size)
        raise ListUnusable(f"{path}: only {written} of {len(data)} bytes fit; nothing was added")
