"""HTTP, except for oned's own calls: one deadline for the whole answer, a bound on its size, typed errors.

The usual timeouts are for each read: a server that sends one byte a second would never meet them. Here every
read from the socket, headers included, has the time that is left of the deadline. Only name resolution is
outside of it, which the operating system's resolver bounds. Redirects, cookies, proxies and .netrc are not
followed or used: addresses come from settings and inventory alone.
"""

from __future__ import annotations

import http.client
import ipaddress
import socket
import ssl
import sys
import urllib.parse
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import urllib3
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.response import BaseHTTPResponse

from onext.deadline import DeadlineResponse

_CHUNK = 65_536
_HOSTS = 2048  # whose connections are kept at most
_ERROR_BODY = 65_536  # bytes of the body of an answer that is not 2xx
_GZIP = 16 + zlib.MAX_WBITS  # zlib.decompressobj: a gzip header is expected


class HttpError(Exception):
    """A request failed; the message names the address, without password and query, and the reason."""


class InvalidAddress(HttpError):
    """The address or a header cannot be used for a request."""


class Unreachable(HttpError):
    """The connection failed, or ended before an answer."""


class TimedOut(HttpError):
    """The answer was not complete within the deadline."""


class TlsFailed(HttpError):
    """No TLS connection: the certificate is not trusted, or no common protocol version exists."""


class InvalidAnswer(HttpError):
    """The answer is truncated, larger than the bound, not HTTP, or its compression is damaged."""


class BadStatus(HttpError):
    """The answer is complete and not 2xx; `answer` has its status, headers and (at most 64 KiB of) body."""

    def __init__(self, message: str, answer: Answer) -> None:
        super().__init__(message)
        self.answer = answer


@dataclass(frozen=True)
class Answer:
    """Status, decoded body and headers (names in lower case) of an answer."""

    status: int
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)


class Http:
    """A client that keeps connections open for the next request; safe to use from several threads.

    `connections` are kept at most, `size` bytes of a body are accepted. `trust` is a file of certificates in
    place of the usual authorities. `public` refuses every connection whose other end has an address that is
    not a public one, whatever its name resolved to before.
    """

    def __init__(
        self,
        *,
        connections: int = 8,
        size: int = 1_048_576,
        connect_timeout: float = 5.0,
        trust: Path | None = None,
        public: bool = False,
    ) -> None:
        self._untrusted = ""  # why no certificate can be verified
        try:
            context = ssl.create_default_context(cafile=trust)
        except OSError as error:
            context, self._untrusted = None, f"certificates in {trust}: {error.strerror or error}"
        self._pools = urllib3.PoolManager(_HOSTS, maxsize=connections, retries=False, ssl_context=context)
        pools = (_PublicPool, _PublicTlsPool) if public else (_Pool, _TlsPool)
        self._pools.pool_classes_by_scheme = dict(zip(("http", "https"), pools, strict=True))
        self._size = size
        self._connect_timeout = connect_timeout

    def close(self) -> None:
        """End the connections that are kept."""
        self._pools.clear()

    def get(self, url: str, *, timeout: float, headers: Mapping[str, str] | None = None) -> Answer:
        """Return the 2xx answer of a GET within `timeout` seconds; raise HttpError."""
        return self.request("GET", url, timeout=timeout, headers=headers)

    def post(
        self, url: str, body: bytes, *, timeout: float, headers: Mapping[str, str] | None = None
    ) -> Answer:
        """Return the 2xx answer of a POST within `timeout` seconds; raise HttpError."""
        return self.request("POST", url, body, timeout=timeout, headers=headers)

    def request(
        self,
        method: str,
        url: str,
        body: bytes | None = None,
        *,
        timeout: float,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """Return the 2xx answer within `timeout` seconds; raise HttpError and nothing else."""
        before = sys.exc_info()[1]  # what the caller is handling is not the reason
        try:
            answer = self._exchange(method, url, body, timeout, headers or {})
        except HttpError as error:
            raise type(error)(f"{_shown(url)}: {error}") from error.__cause__
        except _FAILURES as error:
            kind, reason = _reason(error, before)
            raise kind(f"{_shown(url)}: {reason}") from error
        if not 200 <= answer.status < 300:
            raise BadStatus(f"{_shown(url)}: HTTP {answer.status}", answer)
        return answer

    def _exchange(
        self, method: str, url: str, body: bytes | None, timeout: float, headers: Mapping[str, str]
    ) -> Answer:
        scheme = urllib3.util.parse_url(url).scheme
        if scheme not in ("http", "https"):
            raise InvalidAddress("an address begins with http:// or https://")
        if scheme == "https" and self._untrusted:
            raise TlsFailed(self._untrusted)
        answer = self._pools.urlopen(
            method,
            url,
            body=body,
            headers={"Accept-Encoding": "gzip", "User-Agent": "onext", **_login(url), **headers},
            timeout=urllib3.Timeout(connect=min(self._connect_timeout, timeout), total=timeout),
            redirect=False,
            preload_content=False,
        )
        try:
            found = {name.lower(): value for name, value in answer.headers.items()}
            return Answer(answer.status, self._body(answer, found), found)
        finally:
            answer.close()  # the connection was kept, if the body was read to its end

    def _body(self, answer: BaseHTTPResponse, headers: Mapping[str, str]) -> bytes:
        if 200 <= answer.status < 300:
            return _decoded(_read(answer, self._size), headers, self._size)
        try:
            return _decoded(_read(answer, _ERROR_BODY), headers, _ERROR_BODY)
        except (HttpError, *_FAILURES):
            return b""  # the status is what counts


def _login(url: str) -> dict[str, str]:
    """Return the header for `user:password@` in an address."""
    auth = urllib3.util.parse_url(url).auth
    return urllib3.util.make_headers(basic_auth=urllib.parse.unquote(auth)) if auth else {}


def _read(answer: BaseHTTPResponse, size: int) -> bytes:
    """Return the body as it was sent; raise InvalidAnswer when it has more than `size` bytes."""
    body = bytearray()
    try:
        while chunk := answer.read(_CHUNK, decode_content=False):
            body += chunk
            if len(body) > size:
                raise InvalidAnswer(f"an answer of more than {size} bytes")
    except ValueError as error:  # http.client, for the size of a chunk
        raise InvalidAnswer(f"not HTTP: {error}") from error
    return bytes(body)


def _decoded(body: bytes, headers: Mapping[str, str], size: int) -> bytes:
    """Undo Content-Encoding; raise InvalidAnswer: damaged, unknown, or more than `size` bytes."""
    encoding = headers.get("content-encoding", "").strip().lower()
    if encoding in ("", "identity") or not body:
        return body
    if encoding not in ("gzip", "x-gzip"):
        raise InvalidAnswer(f"Content-Encoding {encoding[:40]!r}, which was not requested")
    decoded = bytearray()
    try:
        while body:  # a gzip file may have several members
            member = zlib.decompressobj(_GZIP)
            decoded += member.decompress(body, size + 1 - len(decoded))
            if len(decoded) > size:
                raise InvalidAnswer(f"an answer of more than {size} bytes")
            if not member.eof:
                raise InvalidAnswer("the compressed answer is truncated")
            body = member.unused_data
    except zlib.error as error:
        raise InvalidAnswer(f"the compressed answer is damaged: {error}") from error
    return bytes(decoded)


class _Connection(HTTPConnection):
    response_class = DeadlineResponse


class _TlsConnection(HTTPSConnection):
    response_class = DeadlineResponse


class _Pool(urllib3.HTTPConnectionPool):
    ConnectionCls = _Connection


class _TlsPool(urllib3.HTTPSConnectionPool):
    ConnectionCls = _TlsConnection


class _PublicConnection(_Connection):
    def _new_conn(self) -> socket.socket:
        return _public(super()._new_conn())


class _PublicTlsConnection(_TlsConnection):
    def _new_conn(self) -> socket.socket:
        return _public(super()._new_conn())


class _PublicPool(urllib3.HTTPConnectionPool):
    ConnectionCls = _PublicConnection


class _PublicTlsPool(urllib3.HTTPSConnectionPool):
    ConnectionCls = _PublicTlsConnection


def _public(connection: socket.socket) -> socket.socket:
    """Return a connection to a public address; raise InvalidAddress before anything is sent elsewhere."""
    if is_public(str(connection.getpeername()[0])):
        return connection
    connection.close()
    raise InvalidAddress("its name resolves to an address that is not a public one")


def is_public(text: str) -> bool:
    """Return whether an address is a public one; an IPv4 address within an IPv6 one counts as itself."""
    address = ipaddress.ip_address(text.partition("%")[0])
    if isinstance(address, ipaddress.IPv6Address):
        address = address.ipv4_mapped or address.sixtofour or address
    return address.is_global and not address.is_multicast


# Whatever urllib3, http.client, ssl and socket raise for an address, a connection or an answer.
_CAUSES = (urllib3.exceptions.HTTPError, http.client.HTTPException, OSError)
_FAILURES = (*_CAUSES, ValueError)


def _reason(error: BaseException, before: BaseException | None) -> tuple[type[HttpError], str]:
    """Return kind and message of the innermost cause: three layers are around `Connection refused`."""
    inner = error.__cause__ or error.__context__
    while isinstance(inner, _CAUSES) and inner is not before:
        error = inner
        inner = error.__cause__ or error.__context__
    match error:
        case TimeoutError() | urllib3.exceptions.TimeoutError():
            return TimedOut, "no complete answer in time"
        case ssl.SSLError() | urllib3.exceptions.SSLError():
            kind: type[HttpError] = TlsFailed
        case OSError():  # a server that ends the connection without an answer is a ConnectionResetError too
            kind = Unreachable
        case (
            http.client.HTTPException()
            | urllib3.exceptions.ProtocolError()
            | urllib3.exceptions.DecodeError()
        ):
            kind = InvalidAnswer
        case _:
            kind = InvalidAddress
    return kind, " ".join(str(error).split())[:300] or type(error).__name__


def _shown(url: str) -> str:
    """Return the address without user and password, and without a query that may be a secret."""
    return url.partition("?")[0].rpartition("@")[2] if "@" in url else url.partition("?")[0]
