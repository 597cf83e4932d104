"""uvicorn's HTTP/1.1 with what it lacks: a time for a request's head, and places for each address."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any, ClassVar

from uvicorn.protocols.http.h11_impl import H11Protocol

from onext.client_network import network

HEAD_SECONDS = 10.0  # from a connection, or the first byte of a request, to the end of its head


class Protocol(H11Protocol):
    """One connection; `most` and `each` are connections at once, of all and of one address."""

    most: ClassVar[int] = 256
    each: ClassVar[int] = 64
    _places: ClassVar[Counter[str]] = Counter()

    def __init__(self, *arguments: Any, **named: Any) -> None:  # noqa: ANN401 - uvicorn's
        super().__init__(*arguments, **named)
        self._address = ""
        self._late: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Take a place, or end the connection."""
        peer = transport.get_extra_info("peername")
        address = network(str(peer[0])) if isinstance(peer, tuple) else "unix"
        if self._places.total() >= self.most or self._places[address] >= self.each:
            transport.abort()
            return
        self._address = address
        self._places[address] += 1
        super().connection_made(transport)
        self._await_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """Give the place back."""
        self._stop_waiting()
        if self._address:
            self._places[self._address] -= 1
            if not self._places[self._address]:
                del self._places[self._address]
            super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Read; the head of a request has to be complete in time."""
        if not self._address:
            return
        before = self.cycle
        super().data_received(data)
        if self.cycle is not before or (self.cycle is not None and not self.cycle.response_complete):
            self._stop_waiting()
        elif self._late is None:
            self._await_head()

    def _await_head(self) -> None:
        self._late = self.loop.call_later(HEAD_SECONDS, self._too_late)

    def _stop_waiting(self) -> None:
        if self._late is not None:
            self._late.cancel()
            self._late = None

    def _too_late(self) -> None:
        if not self.transport.is_closing():
            self.transport.close()
