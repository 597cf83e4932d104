"""Reading from a socket within one deadline: a timeout per read never ends a slow sender."""

from __future__ import annotations

import http.client
import io
import math
import socket
import time
from typing import Any

_LONGEST = 60.0  # seconds for an answer without a timeout


class DeadlineReader(io.RawIOBase):
    """A socket's stream whose reads together have `seconds`, and together give at most `size` bytes.

    One read has `each` seconds. `ended` is true once the other side has sent all that it will.
    """

    def __init__(
        self, connected: socket.socket, seconds: float, size: int | None = None, each: float = math.inf
    ) -> None:
        self._socket = connected
        self._each = each
        self._stream = connected.makefile("rb", buffering=0)
        self.ended = False
        self.restart(seconds, size)

    def restart(self, seconds: float, size: int | None = None) -> None:
        """Begin a new deadline and bound."""
        self._ends = time.monotonic() + seconds
        self._left = size

    def readable(self) -> bool:
        """Tell io that this is a stream to read from."""
        return True

    def readinto(self, buffer: Any) -> int | None:  # noqa: ANN401 - io's signature
        """Read once within what is left; raise TimeoutError or, beyond the bound, OverflowError."""
        left = self._ends - time.monotonic()
        if left <= 0:
            raise TimeoutError("no complete message in time")
        self._socket.settimeout(min(left, self._each))
        number: int | None = self._stream.readinto(buffer)
        self.ended = number == 0
        if self._left is not None:
            self._left -= number or 0
            if self._left < 0:
                raise OverflowError("the message is too large")
        return number

    def close(self) -> None:
        """Close the socket's stream too."""
        self._stream.close()
        super().close()


class DeadlineResponse(http.client.HTTPResponse):
    """An answer whose every read, from the status line on, is within one deadline.

    `seconds` are for all of it, by default the socket's timeout when it is made; one read has `each`.
    """

    def __init__(
        self,
        sock: socket.socket,
        *arguments: Any,  # noqa: ANN401 - those of http.client
        seconds: float | None = None,
        each: float = math.inf,
        **options: Any,  # noqa: ANN401
    ) -> None:
        super().__init__(sock, *arguments, **options)
        self._stream = DeadlineReader(sock, seconds or sock.gettimeout() or _LONGEST, each=each)
        self.fp.close()
        self.fp: io.BufferedReader = io.BufferedReader(self._stream)

    def begin(self) -> None:
        """Read status and headers; raise HTTPException also when they end too early."""
        super().begin()
        if self._stream.ended:
            raise http.client.HTTPException("the headers are truncated")
