"""Which BMCs answer at all, found out without any credential. Runs in the child only.

A session with a BMC that is silent holds a worker for seconds: the others must not wait for that.
"""

from __future__ import annotations

import contextlib
import selectors
import socket
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator
from ipaddress import ip_address

from onext.hosts.bmc.job import Job

# Get Channel Authentication Capabilities (IPMI 2.0, 22.13): every BMC answers it outside of a session.
_QUESTION = bytes.fromhex("0600ff07 00 00000000 00000000 09 2018c8 8100388e04b5")
_AGAIN = 0.5  # seconds between two questions: datagrams get lost

_Place = tuple[str, str, int]  # kind, address, port


def answering(jobs: Iterable[Job], patience: float) -> Iterator[Job]:
    """Yield each job whose BMC answers, as soon as it does, for at most `patience` seconds.

    Jobs of fence agents come last: only the agent knows whom to ask, and one that hangs holds up a worker.
    """
    waiting: dict[_Place, list[Job]] = defaultdict(list)
    agents = []
    for job in jobs:
        if job.kind == "agent":
            agents.append(job)
        else:
            waiting[job.kind, job.address, job.port].append(job)
    yield from _networked(waiting, time.monotonic() + patience)
    yield from agents


def _networked(waiting: dict[_Place, list[Job]], ends: float) -> Iterator[Job]:
    with contextlib.ExitStack() as opened:
        selector = opened.enter_context(selectors.DefaultSelector())
        datagrams = _Datagrams(opened, selector)
        for place in waiting:
            if place[0] != "ipmi":
                _connect(place, opened, selector)
        while waiting and time.monotonic() < ends:
            datagrams.ask(place for place in waiting if place[0] == "ipmi")
            again = min(ends, time.monotonic() + _AGAIN)
            while waiting and (left := again - time.monotonic()) > 0:
                for key, _ in selector.select(left):
                    places = [key.data] if key.data else datagrams.heard(key.fileobj)
                    if key.data:
                        selector.unregister(key.fileobj)
                    for place in places:
                        yield from waiting.pop(place, ())


class _Datagrams:
    """IPMI: the question to each, again and again; whatever comes back is a sign of life."""

    def __init__(self, opened: contextlib.ExitStack, selector: selectors.BaseSelector) -> None:
        self._sockets: dict[int, socket.socket] = {}
        self._opened, self._selector = opened, selector

    def ask(self, places: Iterable[_Place]) -> None:
        """Send the question."""
        for _, address, port in places:
            with contextlib.suppress(OSError):  # no route now; perhaps at the next attempt
                self._socket(ip_address(address).version).sendto(_QUESTION, (address, port))

    def heard(self, fileobj: object) -> Iterator[_Place]:
        """Yield the jobs whose BMC answered; the content of the answer does not matter."""
        one = next(one for one in self._sockets.values() if one is fileobj)
        with contextlib.suppress(OSError):
            while True:
                _, peer = one.recvfrom(512)
                yield "ipmi", peer[0], peer[1]

    def _socket(self, version: int) -> socket.socket:
        if version not in self._sockets:
            one = socket.socket(socket.AF_INET if version == 4 else socket.AF_INET6, socket.SOCK_DGRAM)
            self._sockets[version] = self._opened.enter_context(one)
            one.setblocking(False)
            one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1_000_000)
            self._selector.register(one, selectors.EVENT_READ)
        return self._sockets[version]


def _connect(place: _Place, opened: contextlib.ExitStack, selector: selectors.BaseSelector) -> None:
    """Redfish and ssh: begin a connection; established or refused, the session reports it."""
    family = socket.AF_INET if ip_address(place[1]).version == 4 else socket.AF_INET6
    one = opened.enter_context(socket.socket(family, socket.SOCK_STREAM))
    one.setblocking(False)
    one.connect_ex((place[1], place[2]))
    selector.register(one, selectors.EVENT_WRITE, place)
