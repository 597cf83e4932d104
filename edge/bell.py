"""A datagram from a hub asks this node to look for changes now: a neighbour was revoked, left, came or moved.

WireGuard has compared the sender's address with its key; the datagram has no content that counts, and the
question that follows goes the usual way.
"""

import select
import socket
import time
from typing import Any, Dict, Optional, Set

from edge import overlay

PORT = 51819
REST = 1.0  # seconds between two that count


class Bell:
    """The socket at the overlay address, made when it can be."""

    def __init__(self) -> None:
        self._socket: Optional[socket.socket] = None
        self._rang, self._waiting = -REST, False

    def wait(self, seconds: float, state: Dict[str, Any]) -> bool:
        """Sleep; return whether a hub sent a datagram meanwhile, or during the pause after the last one."""
        now = time.monotonic()
        ends = now + seconds
        while now < ends:
            if self._waiting and now >= self._rang + REST:
                self._rang, self._waiting = now, False
                return True
            if not self._open(state["address"]):
                time.sleep(ends - now)
                return False
            next_ = min(ends, self._rang + REST) if self._waiting else ends
            heard = self._heard(next_ - now, {hub["address"] for hub in state["hubs"]})
            self._waiting = self._waiting or heard
            now = time.monotonic()
        return False

    def _open(self, address: str) -> bool:
        if self._socket is None:
            made = socket.socket(overlay.family(address), socket.SOCK_DGRAM)
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
        return sender in hubs
