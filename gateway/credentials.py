"""The caller's credential, as it came: Basic, or Bearer with a token of OpenNebula's users."""

from __future__ import annotations

import base64
import binascii
import hashlib
import os
from dataclasses import dataclass, field
from functools import cached_property

from gateway.refusals import Unauthorised

LONGEST = 24 << 10  # characters; a token has at most 16 KiB
_SECRET = os.urandom(32)  # digests of credentials are of no use in another process


@dataclass(frozen=True)
class Credential:
    """A user's name and password or token; never shown, logged or written."""

    user: str
    secret: str = field(repr=False)

    @property
    def session(self) -> str:
        """What oned takes: `user:secret`."""
        return f"{self.user}:{self.secret}"

    @cached_property
    def digest(self) -> bytes:
        """What caches are keyed by."""
        return hashlib.blake2b(self.session.encode(), key=_SECRET, digest_size=32).digest()


def of_header(header: str) -> Credential:
    """Read an Authorization header; raise Unauthorised.

    `Bearer` is `user:token`, or that in base64 (RFC 6750 permits no colon).
    """
    scheme, _, value = header.partition(" ")
    if len(header) > LONGEST or scheme.lower() not in ("basic", "bearer"):
        raise Unauthorised("authenticate as an OpenNebula user: Basic, or Bearer with user:token")
    value = value.strip()
    text = value if scheme.lower() == "bearer" and ":" in value else _decoded(value)
    return of_session(text)


def of_session(text: str) -> Credential:
    """Read `user:secret`; raise Unauthorised."""
    user, colon, secret = text.partition(":")
    unfit = not user or not colon or not secret or len(text) > LONGEST
    if unfit or not text.isprintable() or any(char.isspace() for char in user):
        raise Unauthorised("a credential is user:password or user:token of an OpenNebula user")
    return Credential(user, secret)


def _decoded(value: str) -> str:
    try:
        padded = value.replace("-", "+").replace("_", "/") + "=" * (-len(value) % 4)
        return base64.b64decode(padded, validate=True).decode()
    except (binascii.Error, ValueError):
        raise Unauthorised("the Authorization header is not base64 of user:password") from None
