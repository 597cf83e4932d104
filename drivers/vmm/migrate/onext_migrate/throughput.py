"""How fast the tunnel is: a few megabytes of TCP from the near to the far end, for `onext tunnel check`."""

import os
import socket
import time

from .identity import Identity
from .json_lines import JsonLines, Message
from .path_probe import socket_address

_CHUNK = 1 << 16


def receive(identity: Identity, json_lines: JsonLines) -> Message:
    """Take one connection in the tunnel and read it to its end; tell the port first, then the figures."""
    address = socket_address(identity.near.inside, 0, identity.name)
    with socket.socket(_family(identity), socket.SOCK_STREAM) as server:
        server.bind(address)
        server.listen(1)
        server.settimeout(15)
        json_lines.send({"port": server.getsockname()[1]})
        connection, _ = server.accept()
        with connection:
            connection.settimeout(15)
            return _read(connection)


def _read(connection: socket.socket) -> Message:
    started, total = time.monotonic(), 0
    while True:
        data = connection.recv(_CHUNK)
        if not data:
            return {"bytes": total, "seconds": round(time.monotonic() - started, 3)}
        total += len(data)


def _family(identity: Identity) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in identity.near.inside else socket.AF_INET


def send(identity: Identity, port: int, seconds: float) -> None:
    """Send for a while, at most 64 MiB."""
    data = os.urandom(_CHUNK)
    address = socket_address(identity.far.inside, port, identity.name)
    with socket.socket(_family(identity), socket.SOCK_STREAM) as sock:
        sock.settimeout(10)
        sock.connect(address)
        end = time.monotonic() + seconds
        for _ in range(1024):
            sock.sendall(data)
            if time.monotonic() > end:
                return
