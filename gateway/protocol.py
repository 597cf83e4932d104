"""uvicorn's HTTP/1.1 with what it lacks: bounds on a request's head, and places for each address."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any, ClassVar

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from onext.client_network import network

LARGEST_HEAD = 48 << 10  # bytes: a token has 16 KiB, and cookies come with it
MOST_FIELDS = 64
HEAD_SECONDS = 10.0  # from a connection, or the first byte of a request, to the end of its head
STALLED = 20.0  # seconds in which a client has to read some of the answer that waits for it
_SOME = 16 << 10  # bytes
BODY_SECONDS = 30.0  # from there to the end of the body


class Protocol(HttpToolsProtocol):
    """One connection; `most` and `each` are connections at once, of all and of one address."""

    most: ClassVar[int] = 256
    each: ClassVar[int] = 64
    _places: ClassVar[Counter[str]] = Counter()

    def __init__(self, *arguments: Any, **named: Any) -> None:  # noqa: ANN401 - uvicorn's
        super().__init__(*arguments, **named)
        self._address = ""
        self._head = 0  # bytes that came since the last complete head, or piece of a body
        self._fields = 0  # bytes of the fields of this request, trailers included
        self._late: asyncio.TimerHandle | None = None
        self._unread: asyncio.TimerHandle | None = None

    def enter(self, transport: asyncio.Transport) -> bool:
        """Take a place, or end the connection and return false."""
        peer = transport.get_extra_info("peername")
        address = network(str(peer[0])) if isinstance(peer, tuple) else "unix"
        if self._places.total() >= self.most or self._places[address] >= self.each:
            transport.abort()
            return False
        self._address = address
        self._places[address] += 1
        return True

    def leave(self) -> None:
        """Give the place back."""
        self._places[self._address] -= 1
        if not self._places[self._address]:
            del self._places[self._address]
        self._address = ""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Take a place unless the handshake has taken it, and wait for a request."""
        if self._address or self.enter(transport):
            super().connection_made(transport)
            self._expect(HEAD_SECONDS)

    def connection_lost(self, exc: Exception | None) -> None:
        """Give the place back."""
        self._stop_waiting()
        if self._unread is not None:
            self._unread.cancel()
        if self._address:
            self.leave()
            super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Read; the head of a request has to be complete in time."""
        if not self._address:
            return
        before = self.cycle
        self._head += len(data)
        super().data_received(data)
        if self.cycle is not before:
            self._head = 0
        if self.transport.is_closing():
            return
        if self._head > LARGEST_HEAD:
            self.send_400_response("the head of the request is too large")
        elif self.cycle is None or self.cycle.response_complete:
            if self._late is None:
                self._expect(HEAD_SECONDS)
        elif self.cycle is not before:
            self._stop_waiting()
            if self.cycle.more_body:
                self._expect(BODY_SECONDS)

    def pause_writing(self) -> None:
        """Pause writing until the client reads; end the connection if it does not within STALLED seconds."""
        super().pause_writing()
        self._watch()

    def resume_writing(self) -> None:
        """Resume writing."""
        super().resume_writing()
        if self._unread is not None and not self.transport.is_closing():
            self._unread.cancel()
            self._unread = None

    def on_response_complete(self) -> None:
        """Give the client STALLED seconds to read the last answer of a connection."""
        super().on_response_complete()
        self._watch_end()

    def timeout_keep_alive_handler(self) -> None:
        """End an idle connection; the client has STALLED seconds to read the rest."""
        super().timeout_keep_alive_handler()
        self._watch_end()

    def _watch_end(self) -> None:
        if self.transport.is_closing():
            self._watch()

    def _watch(self) -> None:
        if self._unread is None:
            left = self.transport.get_write_buffer_size()
            self._unread = self.loop.call_later(STALLED, self._require_progress, left)

    def _require_progress(self, before: int) -> None:
        self._unread, left = None, self.transport.get_write_buffer_size()
        if left > before - _SOME:
            self.transport.abort()
        else:
            self._watch()

    def on_body(self, body: bytes) -> None:
        """Take a piece of a body; behind an answer that did not wait for it, it is not wanted."""
        if not self.cycle.response_complete:
            self._head = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        """Stop the time of the body."""
        self._stop_waiting()
        self._head = 0
        super().on_message_complete()

    def on_message_begin(self) -> None:
        """Begin to count."""
        self._fields = 0
        super().on_message_begin()

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a field; those behind a body count too: nothing else bounds them."""
        self._fields += len(name) + len(value)
        if self._fields > LARGEST_HEAD or len(self.headers) >= MOST_FIELDS:
            raise ValueError("too many fields, or too long ones")  # httptools ends the connection
        super().on_header(name, value)

    def _expect(self, seconds: float) -> None:
        self._late = self.loop.call_later(seconds, self._too_late)

    def _stop_waiting(self) -> None:
        if self._late is not None:
            self._late.cancel()
            self._late = None

    def _too_late(self) -> None:
        if not self.transport.is_closing():
            self.transport.close()
            self._watch_end()
