"""The secret that the keys of armed hosts are made from: a file of OpenNebula's account, on each front-end.

A zone with several front-ends needs the same file on each of them; the record of an armed host names the file
that its key was made from.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
from dataclasses import dataclass
from pathlib import Path

from onext.paths import Paths

FILE = "lease.key"
_LENGTH = 64  # hexadecimal digits


class NoSecret(Exception):
    """The file is missing, or others may read or write it."""


@dataclass(frozen=True)
class Secret:
    """The secret of a zone."""

    value: bytes

    @property
    def name(self) -> str:
        """What names it in records and messages, and tells nothing about it."""
        return hashlib.sha256(b"name of " + self.value).hexdigest()[:16]

    def key(self, host: int, salt: str) -> bytes:
        """Return the key of a host."""
        return hmac.new(self.value, f"{host} {salt}".encode(), hashlib.sha256).digest()


def path(paths: Paths) -> Path:
    """Return where the secret is."""
    return paths.var / FILE


def load(paths: Paths) -> Secret:
    """Read the secret; raise NoSecret."""
    file = path(paths)
    try:
        descriptor = os.open(file, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError as error:
        raise NoSecret(f"{file}: {error.strerror}") from error
    with os.fdopen(descriptor, "rb") as stream:
        found = os.fstat(descriptor)
        if found.st_mode & 0o077 or found.st_uid not in (0, os.geteuid()):
            raise NoSecret(f"{file}: others may read or write it: chmod 600, owner oneadmin")
        text = stream.read(_LENGTH + 2).strip()
    try:
        value = bytes.fromhex(text.decode("ascii"))
    except ValueError as error:
        raise NoSecret(f"{file}: not {_LENGTH} hexadecimal digits") from error
    if len(value) * 2 != _LENGTH:
        raise NoSecret(f"{file}: not {_LENGTH} hexadecimal digits")
    return Secret(value)


def create(paths: Paths) -> Secret:
    """Return the secret, made where there is none; raise NoSecret."""
    file = path(paths)
    try:
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    except FileExistsError:
        return load(paths)
    except OSError as error:
        raise NoSecret(f"{file}: {error.strerror}") from error
    with os.fdopen(descriptor, "w") as stream:
        stream.write(secrets.token_hex(_LENGTH // 2) + "\n")
    return load(paths)
