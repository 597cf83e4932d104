"""Servers that misbehave: every way in which an answer can go wrong, on a real socket."""

from __future__ import annotations

import contextlib
import gzip
import socket
import struct
import threading
import time
import zlib
from collections.abc import Callable, Iterator

from onext.http import BadStatus, HttpError, InvalidAnswer, TimedOut, Unreachable
from tests.waiting import PATIENCE

_DRIPS = 1000  # pieces, of 0.02 s each
HEAD = b"HTTP/1.1 200 OK\r\n"
# What a server does with a connection once it has read the request; it returns when it is done.
Behave = Callable[[socket.socket, threading.Event], None]
Serve = Callable[..., str]


def end(*groups: list[threading.Thread]) -> None:
    """Wait for the end of threads; a group may grow while an earlier one ends."""
    for group in groups:
        for thread in group:
            thread.join()


@contextlib.contextmanager
def servers() -> Iterator[Serve]:
    """Start servers that treat each connection as given; `ended` is set at the end of the block."""
    ended = threading.Event()
    with contextlib.ExitStack() as stack:

        def start(behave: Behave | bytes, scheme: str = "http") -> str:
            server = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
            threads: list[threading.Thread] = []

            def one(connection: socket.socket) -> None:
                with connection, contextlib.suppress(OSError):
                    if isinstance(behave, bytes):
                        connection.recv(65536)
                        connection.sendall(behave)
                    else:
                        behave(connection, ended)

            def run() -> None:
                with contextlib.suppress(OSError):
                    while True:
                        thread = threading.Thread(target=one, args=(server.accept()[0],))
                        thread.start()
                        threads.append(thread)

            listening = threading.Thread(target=run)
            listening.start()
            stack.callback(end, [listening], threads)
            stack.callback(server.shutdown, socket.SHUT_RDWR)
            stack.callback(ended.set)
            return f"{scheme}://127.0.0.1:{server.getsockname()[1]}/metrics"

        yield start


def answer(status: str, body: bytes, *headers: str) -> bytes:
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", "Connection: close", *headers]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def compressed(body: bytes) -> bytes:
    return answer("200 OK", body, "Content-Encoding: gzip")


def drip(head: bytes, piece: bytes) -> Behave:
    """Send `head`, then `piece` again and again, each long before a timeout of a single read."""

    def behave(connection: socket.socket, ended: threading.Event) -> None:
        connection.recv(65536)
        connection.sendall(head)
        for _ in range(_DRIPS):  # then it ends, so that a client without a deadline fails and does not hang
            if ended.wait(0.02):
                break
            connection.sendall(piece)

    return behave


def flood(head: bytes, piece: bytes) -> Behave:
    """Send `head`, then `piece` as fast as the client takes it."""

    def behave(connection: socket.socket, ended: threading.Event) -> None:
        connection.recv(65536)
        connection.sendall(head)
        ends = time.monotonic() + _DRIPS * 0.02
        while not ended.is_set() and time.monotonic() < ends:
            connection.sendall(piece)

    return behave


def silent(connection: socket.socket, ended: threading.Event) -> None:
    """Accept, and answer nothing."""
    ended.wait(PATIENCE)


def stalls(connection: socket.socket, ended: threading.Event) -> None:
    """Stop in the middle of the body."""
    connection.recv(65536)
    connection.sendall(HEAD + b"Content-Length: 100\r\n\r\nhalf")
    ended.wait(PATIENCE)


def resets(sent: bytes) -> Behave:
    """Send something, then a TCP reset."""

    def behave(connection: socket.socket, _ended: threading.Event) -> None:
        connection.recv(65536)
        connection.sendall(sent)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    return behave


SQUEEZED = gzip.compress(b"x" * 5000)
MISBEHAVIOURS: dict[str, tuple[Behave | bytes, type[HttpError]]] = {
    "truncated body": (HEAD + b"Content-Length: 100\r\nConnection: close\r\n\r\nhalf", InvalidAnswer),
    "truncated headers": (HEAD + b"Content-Le", InvalidAnswer),
    "closed at once": (lambda _connection, _ended: None, Unreachable),
    "closed after the request": (b"", Unreachable),
    "stalled body": (stalls, TimedOut),
    "silence": (silent, TimedOut),
    "reset before the answer": (resets(b""), Unreachable),
    "reset in the body": (resets(HEAD + b"Content-Length: 100\r\n\r\nhalf"), Unreachable),
    "not gzip": (compressed(b"no gzip at all"), InvalidAnswer),
    "truncated gzip": (compressed(SQUEEZED[:-12]), InvalidAnswer),
    "gzip with a wrong checksum": (compressed(SQUEEZED[:-8] + bytes(8)), InvalidAnswer),
    "gzip with a damaged second member": (compressed(SQUEEZED + SQUEEZED[:5]), InvalidAnswer),
    "gzip that grows a thousand times": (compressed(gzip.compress(bytes(2_000_000))), InvalidAnswer),
    "deflate, which was not requested": (
        answer("200 OK", zlib.compress(b"x"), "Content-Encoding: deflate"),
        InvalidAnswer,
    ),
    "gzip seven times over": (answer("200 OK", b"x", "Content-Encoding: " + ", ".join(["gzip"] * 7)), InvalidAnswer),
    "dripping headers": (drip(HEAD, b"X: y\r\n"), (HttpError)),
    "a dripping header": (drip(HEAD + b"X: ", b"y"), TimedOut),
    "a dripping status line": (drip(b"HTTP/1.1 200 ", b"O"), TimedOut),
    "a dripping body": (drip(HEAD + b"Connection: close\r\n\r\n", b"x"), TimedOut),
    "a dripping chunk size": (drip(HEAD + b"Transfer-Encoding: chunked\r\n\r\n", b"0"), TimedOut),
    "endless 100 Continue": (flood(b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 10), TimedOut),
    "endless trailers": (flood(HEAD + b"Transfer-Encoding: chunked\r\n\r\n0\r\n", b"X: y\r\n"), TimedOut),
    "endless body": (flood(HEAD + b"Connection: close\r\n\r\n", b"x" * 60_000), InvalidAnswer),
    "too long by its own account": (HEAD + b"Content-Length: 99999999999\r\n\r\n" + b"x" * 1_100_000, InvalidAnswer),
    "a bad chunk size": (HEAD + b"Transfer-Encoding: chunked\r\n\r\nzz\r\nabc\r\n0\r\n\r\n", InvalidAnswer),
    "a negative chunk size": (
        HEAD + b"Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n-5\r\nabc\r\n0\r\n\r\n",
        InvalidAnswer,
    ),
    "truncated chunks": (HEAD + b"Transfer-Encoding: chunked\r\n\r\n5\r\nab", InvalidAnswer),
    "not HTTP": (b"\x00\x01\xff binary \r\n\r\n" * 9, InvalidAnswer),
    "a header line without end": (HEAD + b"X: " + b"y" * 70_000 + b"\r\n\r\n", InvalidAnswer),
    "a thousand headers": (HEAD + b"X: y\r\n" * 1000 + b"\r\n", InvalidAnswer),
    "a status that is no number": (b"HTTP/1.1 abc OK\r\n\r\n", InvalidAnswer),
    "a status without a meaning": (answer("999 Odd", b""), BadStatus),
    "two Content-Lengths": (HEAD + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\nxy", HttpError),
}  # fmt: skip
