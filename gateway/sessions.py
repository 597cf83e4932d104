"""Logins of the page: a random cookie identifies a credential, which stays in this process's memory."""

from __future__ import annotations

import hmac
import secrets
import time
from collections import OrderedDict
from dataclasses import dataclass, field

from gateway.credentials import Credential

COOKIE = "onext_session"
_MOST, _MOST_OF_USER = 1000, 32  # sessions; the one that was used longest ago ends
_IDLE = 3600.0  # seconds without a request after which a session ends


@dataclass(slots=True)
class Session:
    """One login; `csrf` is the token that its forms carry."""

    credential: Credential
    began: float
    used: float
    csrf: str = field(default_factory=lambda: secrets.token_urlsafe(24))


class Sessions:
    """All logins; they end with the process."""

    def __init__(self, hours: float) -> None:
        self._seconds = hours * 3600.0
        self._sessions: OrderedDict[str, Session] = OrderedDict()

    def begin(self, credential: Credential) -> str:
        """Begin a session and return the value of its cookie."""
        name, now = secrets.token_urlsafe(32), time.monotonic()
        own = [key for key, one in self._sessions.items() if one.credential.user == credential.user]
        if len(own) >= _MOST_OF_USER:
            del self._sessions[own[0]]
        self._sessions[name] = Session(credential, now, now)
        while len(self._sessions) > _MOST:
            self._sessions.popitem(last=False)
        return name

    def get(self, name: str | None) -> Session | None:
        """Return the session of a cookie, None where it ended or never was."""
        session = self._sessions.get(name or "")
        now = time.monotonic()
        if session is None or name is None:
            return None
        if now - session.began > self._seconds or now - session.used > _IDLE:
            del self._sessions[name]
            return None
        session.used = now
        self._sessions.move_to_end(name)
        return session

    def end(self, name: str | None) -> None:
        """End a session."""
        self._sessions.pop(name or "", None)


def same(left: str, right: str) -> bool:
    """Compare two secrets in constant time."""
    return bool(left) and hmac.compare_digest(left.encode(), right.encode())
