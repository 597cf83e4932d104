"""TLS of an accepted connection, which has its place before the handshake and seconds to finish it."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import ssl
from typing import Any, ClassVar

import uvloop

from gateway.protocol import Protocol

SECONDS = 5.0  # for a handshake; the event loop's own limit is a minute, without a place


class Handshake(asyncio.Protocol):
    """An accepted connection, until TLS is agreed on; then `protocol` has it."""

    protocol: ClassVar[type[Protocol]] = Protocol
    context: ClassVar[ssl.SSLContext]
    _running: ClassVar[set[asyncio.Task[None]]] = set()

    def __init__(self, **named: Any) -> None:  # noqa: ANN401 - uvicorn's
        self._inner = self.protocol(**named)

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Take a place and begin the handshake, or end the connection."""
        if not self._inner.enter(transport):
            return
        accepted = socket.socket(fileno=os.dup(transport.get_extra_info("socket").fileno()))
        transport.abort()  # `accepted` keeps the connection; no byte of it was read
        task = asyncio.get_running_loop().create_task(self._agree(accepted))
        self._running.add(task)
        task.add_done_callback(self._running.discard)

    async def _agree(self, accepted: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, uvloop.Loop)
        try:
            with contextlib.suppress(OSError):
                await loop.connect_accepted_socket(
                    lambda: self._inner, accepted, ssl=self.context, ssl_handshake_timeout=SECONDS
                )
        finally:
            if self._inner.transport is None:
                self._inner.leave()
