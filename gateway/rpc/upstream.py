"""Calls that are forwarded to oned, in the event loop: a thread for each costs as much as a small call.

oned ends every connection behind its answer (xmlrpc-c's runConn). So none can be kept; but behind each call
one is opened for the next, and ended where none comes within a second: oned serves 15 (MAX_CONN). HTTP/1.0
keeps a proxy before oned from answering in chunks.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import time
from collections import deque
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import cast
from urllib.parse import urlsplit

import anyio

from onext.oned.errors import Malformed, OnedError, TimedOut, Unreachable

_CONNECT = 5.0  # seconds
SPARE = 1.0  # seconds for which the connection of the next call waits
_RESOLVED = 60.0  # seconds for which addresses of a name are remembered
_LARGEST_HEAD = 16 << 10  # bytes
_HIGH, _LOW = 1 << 20, 1 << 18  # bytes of an answer that wait for the client


class _Link(asyncio.Protocol):
    """One connection: the bytes that came, and how it ended."""

    def __init__(self) -> None:
        self.transport: asyncio.Transport | None = None
        self.ended, self.late, self.failure = False, False, ""
        self._parts: deque[bytes] = deque()
        self._size, self._paused = 0, False
        self._waiter: asyncio.Future[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)  # uvloop's is not derived from it

    def data_received(self, data: bytes) -> None:
        self._parts.append(data)
        self._size += len(data)
        if self._size > _HIGH and not self._paused:
            assert self.transport is not None
            self._paused = True
            self.transport.pause_reading()
        self._wake()

    def connection_lost(self, exc: Exception | None) -> None:
        self.ended, self.failure = True, str(exc or "")
        self._wake()

    def expire(self) -> None:
        """End it because the answer takes too long."""
        self.late = True
        self.abort()

    def abort(self) -> None:
        """End it now."""
        if self.transport is not None:
            self.transport.abort()

    async def read(self) -> bytes:
        """Return what came, empty at the end."""
        while not self._parts and not self.ended:
            self._waiter = asyncio.get_running_loop().create_future()
            await self._waiter
        data = self._parts.popleft() if self._parts else b""
        self._size -= len(data)
        if self._paused and self._size < _LOW and self.transport is not None:
            self._paused = False
            self.transport.resume_reading()
        return data

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)


@dataclass
class Upstream:
    """oned at one endpoint; `limiter` bounds the calls at once, `seconds` each of them."""

    endpoint: str
    limiter: anyio.CapacityLimiter
    seconds: float
    _addresses: list[str] = field(default_factory=list)
    _resolved: float = float("-inf")
    _spare: _Link | None = None
    _preparing: asyncio.Future[None] | None = None
    _timer: asyncio.TimerHandle | None = None

    def __post_init__(self) -> None:
        url = urlsplit(self.endpoint)
        self._host, self._tls = url.hostname or "", url.scheme == "https"
        self._port = url.port or (443 if self._tls else 80)
        self._head = (
            f"POST {url.path or '/RPC2'} HTTP/1.0\r\nHost: {url.netloc.rpartition('@')[2]}\r\n"
            "Content-Type: text/xml\r\nContent-Length: "
        ).encode()

    async def call(self, body: bytes) -> Answer:
        """Send a call and return the answer once it has begun, which is to be ended; raise an OnedError."""
        holder = object()
        try:
            self.limiter.acquire_on_behalf_of_nowait(holder)
        except anyio.WouldBlock:
            await self.limiter.acquire_on_behalf_of(holder)
        answer = Answer(self, holder)
        try:
            await answer.begin(b"%b%d\r\n\r\n%b" % (self._head, len(body), body))
        except BaseException:
            answer.end()
            raise
        return answer

    async def link(self) -> _Link:
        """Return a connection without a call on it; raise OSError, or TimeoutError."""
        spare = self._take_spare()
        return spare if spare is not None and not spare.ended else await self._open()

    def prepare(self) -> None:
        """Open a connection for the next call, beside the answer of this one."""
        if self._spare is None and (self._preparing is None or self._preparing.done()):
            self._preparing = asyncio.ensure_future(self._prepare())

    async def _prepare(self) -> None:
        with contextlib.suppress(OSError):  # the next call reports it
            link = await self._open()
            self._drop_spare()
            self._spare = link
            self._timer = asyncio.get_running_loop().call_later(SPARE, self._drop_spare)

    def _drop_spare(self) -> None:
        if (spare := self._take_spare()) is not None:
            spare.abort()

    def _take_spare(self) -> _Link | None:
        if self._timer is not None:
            self._timer.cancel()
        spare, self._spare = self._spare, None
        return spare

    async def _open(self) -> _Link:
        failure: OSError = OSError(f"{self._host}: no address")
        for address in await self._resolve():
            try:
                return await self._connected(address)
            except OSError as error:
                failure = error
        self._resolved = float("-inf")
        raise failure

    async def _connected(self, address: str) -> _Link:
        loop = asyncio.get_running_loop()
        context = ssl.create_default_context() if self._tls else None
        name = self._host if self._tls else None
        made = loop.create_connection(_Link, address, self._port, ssl=context, server_hostname=name)
        if address in ("127.0.0.1", "::1") and not self._tls:
            return (await made)[1]  # the kernel answers at once
        with anyio.fail_after(_CONNECT):
            return (await made)[1]

    async def _resolve(self) -> list[str]:
        now = time.monotonic()
        if now - self._resolved > _RESOLVED:
            found = await asyncio.get_running_loop().getaddrinfo(self._host, self._port, type=1)
            self._addresses = list(dict.fromkeys(str(one[4][0]) for one in found))
            self._resolved = now
        return self._addresses


class Answer:
    """oned's answer as it comes; every way of leaving it ends with `end`."""

    def __init__(self, upstream: Upstream, holder: object) -> None:
        self._upstream, self._holder = upstream, holder
        self._link: _Link | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._rest = b""  # what came behind the head
        self._left: int | None = None  # bytes of the body, None for all until the end
        self._ended = False

    async def begin(self, request: bytes) -> None:
        """Send a request and read the head of its answer; raise an OnedError."""
        try:
            self._link = await self._upstream.link()
        except OSError as error:  # TimeoutError is one
            late = isinstance(error, TimeoutError)
            raise (TimedOut if late else Unreachable)(
                self._where(f"{error}; is opennebula running?")
            ) from error
        link, head = self._link, b""
        self._timer = asyncio.get_running_loop().call_later(self._upstream.seconds, link.expire)
        assert link.transport is not None
        link.transport.write(request)
        while (end := head.find(b"\r\n\r\n")) < 0:
            data = await link.read()
            if not data:
                raise self._cut()
            head += data
            if len(head) > _LARGEST_HEAD and b"\r\n\r\n" not in head:
                raise Malformed(self._where("the answer is not HTTP"))
        self._rest = head[end + 4 :]
        self._read_head(head[:end])

    async def chunks(self) -> AsyncIterator[bytes]:
        """Yield the body; raise an OnedError where it is cut or comes too late."""
        assert self._link is not None
        data = self._rest or await self._link.read()
        while data:
            if self._left is not None:
                data = data[: self._left]
                self._left -= len(data)
            yield data
            if self._left == 0:
                return
            data = await self._link.read()
        if self._left or self._link.late or self._link.failure:
            raise self._cut()

    def end(self) -> None:
        """End the connection, and let the next call begin."""
        if self._ended:
            return
        self._ended = True
        if self._timer is not None:
            self._timer.cancel()
        if self._link is not None:
            self._link.abort()
            self._upstream.prepare()
        self._upstream.limiter.release_on_behalf_of(self._holder)

    def _read_head(self, head: bytes) -> None:
        status, *lines = head.split(b"\r\n")
        if not status.startswith((b"HTTP/1.1 200", b"HTTP/1.0 200")):
            raise Malformed(self._where(f"HTTP {status[9:40].decode('ascii', 'replace')}"))
        pairs = (line.partition(b":") for line in lines)
        fields = {name.strip().lower(): value.strip() for name, _, value in pairs}
        length = fields.get(b"content-length", b"")
        if b"transfer-encoding" in fields or not (length or b"0").isdigit() or len(length) > 15:
            raise Malformed(self._where("an answer in another form than was asked for"))
        self._left = int(length) if length else None

    def _cut(self) -> OnedError:
        assert self._link is not None
        if self._link.late:
            return TimedOut(self._where("no complete answer in time"))
        return Unreachable(self._where(f"the answer is cut {self._link.failure}; is opennebula running?"))

    def _where(self, what: str) -> str:
        return f"{self._upstream.endpoint}: {what}"
