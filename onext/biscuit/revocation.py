"""The list of revoked tokens on this server: one revocation id on a line, then an optional remark."""

from __future__ import annotations

import fcntl
import os
import re
from collections.abc import Iterable
from pathlib import Path

from onext import bounds
from onext.biscuit.errors import ListUnusable

FILE = "biscuit-revoked"  # in Paths.own_etc
LARGEST = 67_108_864  # bytes of the list
LONGEST_LINE = 4096  # bytes of one of its lines
# A signature: 64 bytes of Ed25519, or DER of P-256, whose two numbers fill it exactly.
_ID = re.compile(r"[0-9a-f]{128}|30[0-9a-f]{14,142}")
_CUT = ("30440220", "30450220", "30450221", "30460221")  # how a longer DER begins that was cut to 128 digits
_P256_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551


def identifier(text: str) -> str:
    """Return a revocation id in the form of the list; raise ListUnusable for anything else."""
    text = text.strip().lower()
    if not _is_identifier(text):
        shown = bounds.words(text, 20)
        raise ListUnusable(f"{shown!r} is not a revocation id; `onext biscuit inspect` shows a token's")
    return text


def read(path: Path) -> list[str]:
    """Return the ids in the list, in lower case.

    Raises ListUnusable where the driver refuses all users: the list is missing, or one of its lines is
    neither an id (with a remark after white space) nor a remark that begins with `#`.
    """
    try:
        with path.open("rb") as file:
            data = file.read(LARGEST + 1)
    except OSError as error:
        raise ListUnusable(f"{path}: {error.strerror}: the driver refuses every biscuit user") from None
    if len(data) > LARGEST:
        raise ListUnusable(f"{path}: more than {LARGEST} bytes")
    return _ids(data, path)


def forms(revocation_id: str) -> tuple[str, ...]:
    """Return the id and, of an ECDSA signature (r, s), that of the equally valid (r, n - s)."""
    if not _is_identifier(revocation_id) or len(revocation_id) == 128:
        return (revocation_id,)
    signature = bytes.fromhex(revocation_id)
    after_r = 4 + signature[3]
    s = _P256_ORDER - int.from_bytes(signature[after_r + 2 :], "big")
    if s <= 0:
        return (revocation_id,)
    other = s.to_bytes(s.bit_length() // 8 + 1, "big")
    body = signature[2:after_r] + bytes((2, len(other))) + other
    return revocation_id, (bytes((0x30, len(body))) + body).hex()


def _ids(data: bytes, path: Path) -> list[str]:
    found = []
    for number, line in enumerate(data.split(b"\n"), 1):
        word = next(iter(line.lower().split(None, 1)), b"#").decode("latin-1")
        if len(line) <= LONGEST_LINE and word.startswith("#"):
            continue
        if len(line) > LONGEST_LINE or not _is_identifier(word):
            raise ListUnusable(
                f"{path}:{number} is not a revocation id: the driver refuses every biscuit user until it is"
                f" corrected ({bounds.words(word, 20)!r})"
            )
        found.append(word)
    return found


def _is_identifier(word: str) -> bool:
    """Whether a word in lower case is a whole signature; the driver has the same rule (tests compare)."""
    if not _ID.fullmatch(word) or len(word) % 2:
        return False
    if len(word) == 128:
        return not word.startswith(_CUT)
    data = bytes.fromhex(word)
    after_r = 4 + data[3]
    if data[1] != len(data) - 2 or data[2] != 2 or after_r + 2 >= len(data):
        return False
    return data[after_r] == 2 and data[after_r + 1] == len(data) - after_r - 2


def add(path: Path, identifiers: Iterable[str]) -> list[str]:
    """Add ids to the list and return those that were not in it.

    One write under a lock, synced, undone when it is incomplete: a login sees a whole id or none.
    In place, because oneadmin may write the file and not the folder. A missing list is not created here: its
    revocations would be lost, so the driver refuses all users until it is restored. Where a line is not an
    id, the new ids are added and ListUnusable names that line.
    """
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_APPEND)
    except OSError as error:
        raise ListUnusable(
            f"{path}: {error.strerror}; run as oneadmin or root, where install.sh ran"
        ) from None
    with os.fdopen(descriptor, "rb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        old = file.read()
        new = [i for i in dict.fromkeys(identifiers) if i.encode() not in old.lower()]
        if new:
            start = b"" if old.endswith(b"\n") or not old else b"\n"
            _append(file.fileno(), len(old), start + "".join(f"{i}\n" for i in new).encode(), path)
    _ids(old, path)
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
        raise ListUnusable(
            f"{path}: only {written} of {len(data)} bytes could be written (disk full?); nothing was added"
        )
