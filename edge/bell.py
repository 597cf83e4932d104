"""A datagram from a hub asks this node to look for changes now: a neighbour was revoked, or left.

WireGuard has compared the sender's address with its key; the datagram has no content that counts, and the
question that follows goes the usual way.
"""

import select
import socket
import time
from typing import Any, Dict, Optional, Set

PORT = 51819
REST = 1.0  # seconds between two that count


class Bell:
    """The socket at the overlay address, made when it can be."""

    def __init__(self) -> None:
        self._socket: Optional[socket.socket] = None
        self._rang = 0.0

    def wait(self, seconds: float, state: Dict[str, Any]) -> bool:
        """Sleep; return whether a hub rang meanwhile."""
        ends = time.monotonic() + seconds
        rang = False
        while time.monotonic() < ends and not rang:
            if not self._open(state["address"]):
                time.sleep(max(0.0, ends - time.monotonic()))
                return False
            rang = self._heard(ends - time.monotonic(), {hub["address"] for hub in state["hubs"]})
        return rang

    def _open(self, address: str) -> bool:
        if self._socket is None:
            made = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
            try:
                made.bind((address, PORT))
            except OSError:
                made.close()
                return False
            self._socket = made
        return True

    def _heard(self, seconds: float, hubs: Set[str]) -> bool:
        assert self._socket is not None
        if not select.select([self._socket], [], [], max(0.0, seconds))[0]:
            return False
        try:
            sender = self._socket.recvfrom(64)[1][0]
        except OSError:  # the interface is gone, and with it the address
            self._socket.close()
            self._socket = None
            return False
        now = time.monotonic()
        if sender not in hubs or now - self._rang < REST:
            return False
        self._rang = now
        return True
