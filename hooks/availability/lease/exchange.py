"""Datagrams between the front-end and the daemons of armed hosts: all hosts at once, within one deadline.

Names are resolved beside the exchange, so that a name server that does not answer delays no grant.
"""

from __future__ import annotations

import re
import secrets
import selectors
import socket
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field

from typing_extensions import Self

from hooks.availability.lease import challenges
from hooks.availability.lease.challenges import Challenge
from hooks.availability.lease.onext_lease.lease import LARGEST

WAIT = 1.5  # seconds for the answers
_RESOLVE_AGAIN = 300.0  # seconds
_MOST_READ = 20_000  # datagrams of one exchange
_HOST = re.compile(rb'"host":([0-9]{1,9})[,}]')  # a claim: the seal decides

Address = tuple[str, int]


@dataclass(frozen=True, slots=True)
class Peer:
    """A host with its key and where its daemon listens."""

    host: int
    key: bytes
    address: Address


@dataclass
class Names:
    """Addresses of hosts as last resolved."""

    monotonic: Callable[[], float] = time.monotonic
    _known: dict[Address, tuple[socket.AddressFamily, tuple[object, ...]]] = field(default_factory=dict)
    _asked: dict[Address, tuple[float, Future[tuple[socket.AddressFamily, tuple[object, ...]]]]] = field(
        default_factory=dict
    )
    _pool: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(4, "lease-names"))

    def resolve(
        self, address: Address, wait: float
    ) -> tuple[socket.AddressFamily, tuple[object, ...]] | None:
        """Return the socket address of a host; waits only for one that was never resolved."""
        asked = self._asked.get(address)
        if asked is None or (asked[1].done() and self.monotonic() - asked[0] > _RESOLVE_AGAIN):
            asked = self.monotonic(), self._pool.submit(_lookup, address)
            self._asked[address] = asked
        if address not in self._known or asked[1].done():
            with suppress(OSError, TimeoutError):
                self._known[address] = asked[1].result(wait)
        return self._known.get(address)


def _lookup(address: Address) -> tuple[socket.AddressFamily, tuple[object, ...]]:
    family, _, _, _, found = socket.getaddrinfo(*address, type=socket.SOCK_DGRAM)[0]
    return family, found


@dataclass
class Exchange:
    """The sockets of one round: hellos, then grants to those that answered."""

    names: Names
    wait: float = WAIT
    _sockets: dict[socket.AddressFamily, socket.socket] = field(default_factory=dict)
    _stack: ExitStack = field(default_factory=ExitStack)
    _nonces: dict[int, str] = field(default_factory=dict)

    def __enter__(self) -> Self:
        """Begin a round."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the sockets."""
        self._stack.close()

    def ask(self, peers: Mapping[int, Peer]) -> Iterator[tuple[int, Challenge]]:
        """Send a hello to every host and return the answers as they come."""
        deadline = time.monotonic() + self.wait
        self._nonces = {host: secrets.token_hex(16) for host in peers}
        for host, peer in peers.items():
            self.send(peer, challenges.hello(peer.key, host, self._nonces[host]))
        yield from self._answers(peers, deadline)

    def disarm(self, peer: Peer, answered: Challenge, epoch: int) -> Challenge | None:
        """Order a daemon to feed without grants; return its acknowledgement."""
        nonce = self._nonces[peer.host] = secrets.token_hex(16)
        self.send(peer, challenges.disarm(peer.key, peer.host, answered, epoch, nonce))
        deadline = time.monotonic() + self.wait
        return next((one for _, one in self._answers({peer.host: peer}, deadline)), None)

    def send(self, peer: Peer, data: bytes) -> None:
        """Send a datagram; one that is lost is sent again in the next round."""
        found = self.names.resolve(peer.address, 0.2)
        if found is None:
            return
        with suppress(OSError):
            self._socket(found[0]).sendto(data, found[1])

    def _socket(self, family: socket.AddressFamily) -> socket.socket:
        if family not in self._sockets:
            made = self._stack.enter_context(socket.socket(family, socket.SOCK_DGRAM))
            made.setblocking(False)
            self._sockets[family] = made
        return self._sockets[family]

    def _answers(self, peers: Mapping[int, Peer], deadline: float) -> Iterator[tuple[int, Challenge]]:
        missing = dict(peers)
        with selectors.DefaultSelector() as selector:
            for one in self._sockets.values():
                selector.register(one, selectors.EVENT_READ)
            for _ in range(_MOST_READ):
                left = deadline - time.monotonic()
                if not missing or left <= 0 or not selector.get_map():
                    return
                for ready, _events in selector.select(left):
                    found = self._read(ready.fileobj, missing)  # type: ignore[arg-type]
                    if found is not None:
                        del missing[found[0]]
                        yield found

    def _read(self, channel: socket.socket, missing: Mapping[int, Peer]) -> tuple[int, Challenge] | None:
        try:
            data = channel.recv(LARGEST + 1)
        except OSError:  # refused by one host, or read already
            return None
        named = _HOST.search(data)
        peer = missing.get(int(named[1])) if named else None
        if peer is None:
            return None
        challenge = challenges.read(peer.key, peer.host, self._nonces[peer.host], data)
        return (peer.host, challenge) if challenge is not None else None
