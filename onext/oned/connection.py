"""One call to oned over HTTP: every step within a deadline, and no connection kept.

oned serves MAX_CONN (15) connections and holds an idle one for KEEPALIVE_TIMEOUT (15 s): a client that keeps
its connections locks all others out.
"""

from __future__ import annotations

import http.client
import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from urllib.parse import urlsplit

from onext.deadline import DeadlineResponse
from onext.oned.errors import Malformed, TimedOut, Unreachable

_CHUNK = 1 << 18


@dataclass(frozen=True)
class Source:
    """Which oned, as whom, and how long to wait (seconds); `deadline` bounds the whole answer."""

    endpoint: str
    session: str
    connect_timeout: float = 5.0
    read_timeout: float = 30.0
    deadline: float = 120.0

    def __repr__(self) -> str:
        return f"Source({self.endpoint!r})"  # a session is a password


class Connection:
    """One call over HTTP; every step has the time that is left of the deadline, and no more."""

    def __init__(self, source: Source, name: str) -> None:
        url = urlsplit(source.endpoint)
        https = url.scheme == "https"
        kind = http.client.HTTPSConnection if https else http.client.HTTPConnection
        self._http = kind(url.hostname or "", url.port, timeout=source.connect_timeout)
        self._path = url.path or "/RPC2"
        self._source = source
        self._name = name
        self._ends = time.monotonic() + source.deadline

    def close(self) -> None:
        """End the connection."""
        self._http.close()

    def post(self, body: bytes) -> Iterator[bytes]:
        """Send `body` and yield the answer's bytes as they come; raise Unreachable, TimedOut, Malformed."""
        where = f"{self._name} at {self._source.endpoint}"
        try:
            yield from self._exchange(body)
        except TimeoutError as error:
            raise TimedOut(f"{where}: no complete answer in time") from error
        except http.client.HTTPException as error:
            raise Malformed(f"{where}: the answer is cut or no HTTP: {error!r}") from error
        except (OSError, UnicodeError) as error:
            raise Unreachable(f"{where}: {error}; is opennebula running?") from error

    def _exchange(self, body: bytes) -> Iterator[bytes]:
        self._http.connect()
        connected: socket.socket = self._http.sock
        connected.settimeout(min(self._left(), self._source.read_timeout))
        # oned keeps an idle connection open for 15 s of its 15 connections: end it.
        self._http.request("POST", self._path, body, {"Content-Type": "text/xml", "Connection": "close"})
        self._http.response_class = partial(  # type: ignore[assignment]  # it is called as the class is
            DeadlineResponse, seconds=self._left(), each=self._source.read_timeout
        )
        answer = self._http.getresponse()
        if answer.status != http.HTTPStatus.OK:
            raise Malformed(f"{self._name} at {self._source.endpoint}: HTTP {answer.status} {answer.reason}")
        while chunk := answer.read1(_CHUNK):
            yield chunk

    def _left(self) -> float:
        left = self._ends - time.monotonic()
        if left <= 0:
            raise TimeoutError
        return left
