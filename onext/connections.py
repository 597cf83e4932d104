"""Which connections may be open: a limit for all and for each address, and places for those who may ask.

A connection that has not sent its request yet, or has been answered, waits. Where a limit is met, the one
that has waited longest is ended for the new one: a client that opens many and is silent ends only its own,
and one that was answered before always finds a place.
"""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from onext.client_network import network

REMEMBERED = 64  # addresses whose request was answered; the one that asked longest ago is forgotten


@dataclass(eq=False)
class Place:
    """The place of one connection."""

    address: str
    connection: socket.socket
    waiting: bool = True  # for a request
    since: float = field(default_factory=time.monotonic)

    def end(self) -> None:
        """End the connection: its thread reads the end of the stream and returns."""
        with contextlib.suppress(OSError):
            self.connection.shutdown(socket.SHUT_RDWR)


class Connections:
    """All places; safe to use from several threads.

    There are `most`, of which one address has at most `each`; `reserved` of them are kept for addresses whose
    request was answered.
    """

    def __init__(self, most: int, each: int, reserved: int) -> None:
        self._most, self._each, self._reserved = most, each, reserved
        self._lock = threading.Lock()
        self._places: set[Place] = set()
        self._served: OrderedDict[str, None] = OrderedDict()

    def take(self, connection: socket.socket, address: str) -> Place | None:
        """Return a place for a new connection from `address`, None without one."""
        owner = network(address)
        with self._lock:
            served = owner in self._served
            if not self._room(self._each, lambda place: place.address == owner):
                return None
            if not self._room(self._most - (0 if served else self._reserved), lambda _: True, served=served):
                return None
            place = Place(owner, connection)
            self._places.add(place)
            return place

    def _room(self, most: int, belongs: Callable[[Place], bool], *, served: bool = True) -> bool:
        """Make sure that another place fits below `most`; end the connection that has waited longest."""
        places = [place for place in self._places if belongs(place)]
        if len(places) < most:
            return True
        oldest = self._oldest(place for place in places if served or place.address not in self._served)
        if oldest is None:
            return False
        self._places.discard(oldest)
        oldest.end()
        return True

    def _oldest(self, places: Iterable[Place]) -> Place | None:
        waiting = (place for place in places if place.waiting)
        return min(waiting, key=lambda place: (place.address in self._served, place.since), default=None)

    def asked(self, place: Place) -> None:
        """Keep the connection until its answer is sent."""
        with self._lock:
            place.waiting = False

    def allowed(self, place: Place) -> None:
        """Do so too, and remember the address: it may ask."""
        self.asked(place)
        with self._lock:
            self._served[place.address] = None
            self._served.move_to_end(place.address)
            if len(self._served) > REMEMBERED:
                self._served.popitem(last=False)

    def answered(self, place: Place) -> None:
        """Let the connection wait for its next request."""
        with self._lock:
            place.waiting, place.since = True, time.monotonic()

    def release(self, place: Place) -> None:
        """Give the place to others."""
        with self._lock:
            self._places.discard(place)
