"""One GET of one host's page, with bounds on everything: time to connect, each read, the whole, the size."""

from __future__ import annotations

import contextlib
import http.client
import time

LARGEST = 16 << 20  # bytes: some 80,000 processes


class FetchError(Exception):
    """The host did not give a page: why."""


def fetch(host: str, port: int, *, connect: float, read: float, deadline: float) -> bytes:
    """Return the body of `http://host:port/metrics`; `deadline` is a time.monotonic(). Raises FetchError."""
    connection = http.client.HTTPConnection(host, port, timeout=_left(deadline, connect))
    with contextlib.closing(connection):
        try:
            connection.connect()
            return _body(connection, read, deadline)
        except TimeoutError as error:
            raise FetchError(f"{host}:{port}: no answer in time") from error
        except (OSError, UnicodeError, http.client.HTTPException) as error:
            raise FetchError(f"{host}:{port}: {error or type(error).__name__}") from error


def _body(connection: http.client.HTTPConnection, read: float, deadline: float) -> bytes:
    connection.sock.settimeout(_left(deadline, read))
    connected = connection.sock  # request() gives it away with `Connection: close`
    connection.request("GET", "/metrics", headers={"Connection": "close"})
    with connection.getresponse() as answer:
        if answer.status != http.HTTPStatus.OK:
            raise FetchError(f"{connection.host}:{connection.port}: HTTP {answer.status}")
        parts, size = [], 0
        while chunk := answer.read1(1 << 16):
            parts.append(chunk)
            size += len(chunk)
            if size > LARGEST:
                raise FetchError(f"{connection.host}:{connection.port}: more than {LARGEST} bytes")
            connected.settimeout(_left(deadline, read))
    return b"".join(parts)


def _left(deadline: float, most: float) -> float:
    left = deadline - time.monotonic()
    if left <= 0:
        raise FetchError("the round's time is over")
    return min(left, most)
