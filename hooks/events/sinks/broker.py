"""What the message brokers have in common: their address, and how an event is routed.

Every event is one message in CloudEvents' structured mode. Its route has three words, so that receivers can
choose by pattern: kind and id of the object, and what happened (`vm`, `12`, `state`).
"""

from __future__ import annotations

import socket
import ssl
import urllib.parse
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from hooks.events.changes import PREFIX
from hooks.events.delivery import Unavailable
from hooks.events.stored import Event
from onext.http import is_public

TIMEOUT = 20.0  # seconds for one message
CONNECT = 10.0  # seconds to connect


class InvalidAddress(Exception):
    """The address of a broker cannot be used; the message never holds its user or password."""


@dataclass(frozen=True)
class Address:
    """Where a broker is: `scheme://user:password@host:port/path`."""

    host: str
    port: int
    encrypted: bool
    user: str = field(default="", repr=False)
    password: str = field(default="", repr=False)
    path: str = ""

    @classmethod
    def parse(cls, text: str, ports: dict[str, tuple[int, bool]]) -> Address:
        """Read an address; `ports` has the usual port of each scheme and whether it is encrypted."""
        try:
            parts = urllib.parse.urlsplit(text)
            usual, encrypted = ports[parts.scheme]
            port = parts.port or usual
        except (ValueError, KeyError):
            raise InvalidAddress(f"`url_file` needs an address that begins with {_either(ports)}") from None
        if not parts.hostname:
            raise InvalidAddress("`url_file` holds no host name")
        user, password = (
            urllib.parse.unquote(parts.username or ""),
            urllib.parse.unquote(parts.password or ""),
        )
        return cls(parts.hostname, port, encrypted, user, password, urllib.parse.unquote(parts.path[1:]))

    def require_allowed(self, *, private: bool) -> None:
        """Raise Unavailable where the name does not resolve, or to an address that is not allowed."""
        try:
            found = socket.getaddrinfo(self.host, self.port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError) as error:
            raise Unavailable(f"{self.host} does not resolve: {error}") from None
        if not private and not all(is_public(str(entry[4][0])) for entry in found):
            raise Unavailable(f"{self.host} is a private address; set `private: true` to allow it")

    def tls(self, authorities: Path | None) -> ssl.SSLContext | None:
        """Return the context of an encrypted connection, which always checks certificate and name."""
        if not self.encrypted:
            return None
        try:
            return ssl.create_default_context(cafile=authorities)
        except (OSError, ssl.SSLError) as error:
            raise Unavailable(f"{authorities} holds no certificates: {error}") from None

    def redacted(self, problem: BaseException) -> str:
        """Return what a library reports, bounded, without user and password."""
        text = " ".join(str(problem).split()) or type(problem).__name__
        for secret in filter(None, (self.password, self.user)):
            text = text.replace(secret, "***")
        return f"{self.host}:{self.port}: {text[:300]}"


def _either(ports: dict[str, tuple[int, bool]]) -> str:
    return " or ".join(f"{scheme}://" for scheme in ports)


def route(event: Event) -> Sequence[str]:
    """Return kind and id of the object and what happened: one word each, made of letters, digits and `-`."""
    verb = event.type.removeprefix(f"{PREFIX}.").removeprefix(f"{event.subject.kind}.")
    return event.subject.kind, str(event.subject.id), verb.replace(".", "-")
