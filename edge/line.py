"""WireGuard's datagrams on a TLS stream: two bytes of length, then the datagram.

A node's relay and the front-end's endpoint use it, each between a stream and a UDP socket of its own machine.
A stream that does not keep up loses datagrams, as a slow line would; one that takes nothing is ended.
"""

import contextlib
import select
import socket
import ssl
import struct
import threading
import time
from typing import Callable, Optional

SHORTEST, LONGEST = 32, 9216  # bytes of a datagram: a keepalive, the largest MTU with WireGuard's header
WAITING = 1 << 18  # bytes that wait for the stream; further datagrams are dropped
SLOW = 30.0  # seconds in which the stream must take some of what waits
FIRST = 30.0  # seconds until both sides were heard: WireGuard answers known peers only
SILENT = 120.0  # seconds without a datagram of one side
_RECORD = 16384  # bytes that are written at once
_BURST = 64  # datagrams that are read at once
_TURN = 1.0  # seconds until `run` notices `end`


class Line:
    """Carries datagrams between a TLS stream and a connected UDP socket."""

    def __init__(
        self, stream: ssl.SSLSocket, datagrams: socket.socket, answered: Callable[[], None] = lambda: None
    ) -> None:
        """Call `answered` when the first datagram came from the socket."""
        self._stream, self._datagrams, self._answered = stream, datagrams, answered
        stream.setblocking(False)
        datagrams.setblocking(False)
        stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._arrived, self._waiting = bytearray(), bytearray()
        self._began = self._taken = time.monotonic()
        self._far: Optional[float] = None  # when the stream, and when WireGuard was heard last
        self._near: Optional[float] = None
        self._held, self._gate, self._ended = False, threading.Lock(), False

    def run(self) -> str:
        """Carry until one side ends; return the reason."""
        try:
            while not self._ended:
                reason = self._overdue()
                if reason:
                    return reason
                self._turn()
        except (OSError, ValueError) as error:
            return str(error)
        return "ended"

    def end(self) -> None:
        """Let `run` return within a second."""
        self._ended = True

    def hold(self, held: bool) -> None:
        """Deliver no datagram of the stream while `held`; other threads call it."""
        with self._gate:
            self._held = held

    def _overdue(self) -> str:
        now = time.monotonic()
        if self._waiting and now - self._taken > SLOW:
            return "the other side accepts no data"
        for heard in (self._far, self._near):
            if now - (self._began if heard is None else heard) > (FIRST if heard is None else SILENT):
                return "no datagram came"
        return ""

    def _turn(self) -> None:
        reading = [self._datagrams] if self._held else [self._datagrams, self._stream]
        writing = [self._stream] if self._waiting else []
        readable, _, _ = select.select(reading, writing, [], _TURN)
        if self._stream in readable:
            with self._gate:
                if not self._held:
                    self._from_stream()
        if self._datagrams in readable:
            self._from_datagrams()
        if self._waiting:
            self._write()

    def _from_stream(self) -> None:
        while True:
            try:
                data = self._stream.recv(_RECORD)
            except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
                return
            if not data:
                raise OSError("the other side ended")
            self._arrived += data
            self._deliver()
            if not self._stream.pending():
                return

    def _deliver(self) -> None:
        while len(self._arrived) >= 2:
            (size,) = struct.unpack_from(">H", self._arrived)
            if not SHORTEST <= size <= LONGEST:
                raise ValueError("the other side sent data that is not a WireGuard datagram")
            if len(self._arrived) < 2 + size:
                return
            self._far = time.monotonic()
            with contextlib.suppress(OSError):  # the hub reads too slowly, or not at all
                self._datagrams.send(self._arrived[2 : 2 + size])
            del self._arrived[: 2 + size]

    def _from_datagrams(self) -> None:
        for _ in range(_BURST):
            try:
                data = self._datagrams.recv(65536)
            except OSError:  # nothing left to read, or an ICMP error for an earlier datagram
                return
            if not SHORTEST <= len(data) <= LONGEST:
                continue
            if self._near is None:
                self._answered()
            self._near = time.monotonic()
            if not self._waiting:
                self._taken = self._near
            if len(self._waiting) < WAITING:
                self._waiting += struct.pack(">H", len(data)) + data

    def _write(self) -> None:
        try:
            sent = self._stream.send(self._waiting[:_RECORD])
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
            return
        self._taken = time.monotonic()
        del self._waiting[:sent]
