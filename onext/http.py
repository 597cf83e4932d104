"""The one door for HTTP (but for oned's own): a deadline for the whole answer, a bound on its size.

requests' time-outs are for each read: a server that drips a byte a second would never meet them.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import requests
from requests.adapters import HTTPAdapter

_CHUNK = 1 << 16


class HttpError(Exception):
    """A request did not succeed; the message names the address without its password."""


@dataclass(frozen=True)
class Answer:
    """Status and body of an answer."""

    status: int
    body: bytes


class Http:
    """A client that keeps connections; safe to use from several threads.

    `connections` are kept at once, `size` bytes of an answer are read. Redirects are not followed.
    `trust` is a file of certificates in place of the usual authorities.
    """

    def __init__(
        self,
        *,
        connections: int = 8,
        size: int = 1 << 20,
        connect_timeout: float = 5.0,
        trust: Path | None = None,
    ) -> None:
        self._session = requests.Session()
        if trust is not None:
            self._session.verify = str(trust)
        self._session.trust_env = False  # no proxy, no .netrc: addresses come from our settings alone
        self._size = size
        self._connect_timeout = connect_timeout
        for scheme in ("http://", "https://"):
            self._session.mount(scheme, HTTPAdapter(pool_connections=connections, pool_maxsize=connections))

    def close(self) -> None:
        """End the connections that are kept."""
        self._session.close()

    def get(self, url: str, *, timeout: float, headers: Mapping[str, str] | None = None) -> Answer:
        """Return the answer of a GET within `timeout` seconds; raise HttpError, also when it is no 2xx."""
        return self._ask("GET", url, timeout, headers, None)

    def post(
        self, url: str, body: bytes, *, timeout: float, headers: Mapping[str, str] | None = None
    ) -> Answer:
        """Return the answer of a POST within `timeout` seconds; raise HttpError, also when it is no 2xx."""
        return self._ask("POST", url, timeout, headers, body)

    def _ask(
        self, method: str, url: str, timeout: float, headers: Mapping[str, str] | None, body: bytes | None
    ) -> Answer:
        ends = time.monotonic() + timeout
        try:
            with self._session.request(
                method,
                url,
                data=body,
                headers=headers,
                timeout=(min(self._connect_timeout, timeout), timeout),
                allow_redirects=False,
                stream=True,
            ) as answer:
                read = self._read(answer, ends)
        except requests.RequestException as error:
            raise HttpError(f"{_shown(url)}: {_innermost(error)}") from error
        except (TimeoutError, OverflowError) as error:
            raise HttpError(f"{_shown(url)}: {error}") from None
        if not 200 <= read.status < 300:
            raise HttpError(f"{_shown(url)}: HTTP {read.status}")
        return read

    def _read(self, answer: requests.Response, ends: float) -> Answer:
        body = bytearray()
        while chunk := answer.raw.read1(_CHUNK, decode_content=True):
            body += chunk
            if len(body) > self._size:
                raise OverflowError(f"more than {self._size} bytes of an answer")
            if time.monotonic() > ends:
                raise TimeoutError("no complete answer in time")
        return Answer(answer.status_code, bytes(body))


def _innermost(error: BaseException) -> BaseException:
    """Return the cause that people know: requests wraps three layers around `Connection refused`."""
    while inner := error.__cause__ or error.__context__:
        error = inner
    return error


def _shown(url: str) -> str:
    """Return the address without user and password, and without a query that may be a secret."""
    return url.partition("?")[0].rpartition("@")[2] if "@" in url else url.partition("?")[0]
