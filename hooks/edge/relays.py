"""Relays: datagrams of nodes whose network blocks UDP, from a TLS connection to this server's own hub.

What passes is what anybody may send to the hub's UDP port. The hub answers known peers only, and a relay
that it does not answer ends.
"""

from __future__ import annotations

import json
import socket
import ssl
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from edge.line import Line

MOST, EACH, RESERVED = 128, 32, 64  # of all, of one address, for addresses of nodes
HUB = "127.0.0.1"
_LARGEST = 32 << 20  # bytes of the hub's list


@dataclass
class HubPort:
    """The UDP port in the hub's list, read again when the file changes."""

    file: Path | None
    _seen: tuple[int, int] = (0, 0)
    _port: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def now(self) -> int:
        """Return the port, or 0 while this server has no hub."""
        if self.file is None:
            return 0
        try:
            found = self.file.stat()
            with self._lock:
                if self._seen != (found.st_mtime_ns, found.st_ino):
                    self._port = _port(self.file)
                    self._seen = found.st_mtime_ns, found.st_ino
                return self._port
        except (OSError, ValueError, KeyError, TypeError, RecursionError):
            return 0


def _port(file: Path) -> int:
    with file.open("rb") as stream:
        port = json.loads(stream.read(_LARGEST))["port"]
    if not isinstance(port, int) or not 1 <= port <= 65535:
        raise ValueError("not a port")
    return port


def carry(stream: ssl.SSLSocket, port: int, answered: Callable[[], None]) -> None:
    """Carry datagrams between a node and this server's hub until one side ends."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as datagrams:
        datagrams.connect((HUB, port))
        Line(stream, datagrams, answered).run()
