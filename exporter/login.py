"""Basic authentication against bcrypt hashes, which takes the same time whether a user exists or not."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import os
import threading
from collections.abc import Mapping

import bcrypt

from onext.webconfig import cost

_LONGEST = 4096  # characters of an Authorization header


class Users:
    """Who may ask; a password that was right is not hashed again, and one hash is computed at a time."""

    def __init__(self, users: Mapping[str, str]) -> None:
        """Take bcrypt hashes by user; one that `cost` does not know matches no password."""
        self._users = {user: (hashed, found) for user, hashed in users.items() if (found := cost(hashed))}
        self._guarded = bool(users)
        self._most = max((found for _, found in self._users.values()), default=10)
        self._secret = os.urandom(128)  # for digests: passwords are not kept in a form that can be guessed
        self._right: dict[str, bytes] = {}
        self._lock = threading.Lock()  # an address that guesses must not take all processors

    def allow(self, header: str | None) -> bool:
        """Return whether the value of an Authorization header names a known user and password."""
        if not self._guarded:
            return True
        given = _credentials(header)
        if given is None:
            return False
        user, password = given
        digest = hmac.digest(self._secret, b"%b\0%b" % (user.encode(), password), hashlib.sha256)
        if hmac.compare_digest(self._right.get(user, b""), digest):
            return True
        with self._lock:
            right = self._check(user, password)
        if right:
            self._right[user] = digest
        return right

    def _check(self, user: str, password: bytes) -> bool:
        """Compare; the work is 2^most in every case, since 2^c + (2^c + ... + 2^(most-1)) = 2^most."""
        hashed, found = self._users.get(user, (_unused_hash(self._most), self._most))
        right = _matches(password, hashed)
        for padding in range(found, self._most):
            _matches(password, _unused_hash(padding))
        return right and user in self._users


def _credentials(header: str | None) -> tuple[str, bytes] | None:
    scheme, _, encoded = (header or "")[:_LONGEST].partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        user, colon, password = base64.b64decode(encoded, validate=True).partition(b":")
        return (user.decode(), password) if colon else None
    except (binascii.Error, ValueError):
        return None


def _unused_hash(rounds: int) -> str:
    """Return a hash of that cost which belongs to no user."""
    return f"$2b${rounds:02}${'.' * 53}"


def _matches(password: bytes, hashed: str) -> bool:
    try:
        return bcrypt.checkpw(password[:72], hashed.encode())  # bcrypt uses 72 bytes, in Go too
    except ValueError:
        return False
