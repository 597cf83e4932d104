"""Packets through the tunnel and back: whether it is alive, and how large they may be."""

import contextlib
import os
import select
import socket
import struct
import time
from typing import Any, List, NamedTuple, Optional, Tuple

from .errors import TunnelError

_HEADERS = {socket.AF_INET6: 40 + 8, socket.AF_INET: 20 + 8}  # bytes of IP and UDP
# What does not travel whole does not travel. Python has no names: IPV6_DONTFRAG (linux/in6.h), and
# IP_MTU_DISCOVER with IP_PMTUDISC_PROBE (linux/in.h)
_WHOLE = {
    socket.AF_INET6: (socket.IPPROTO_IPV6, 62, 1),
    socket.AF_INET: (socket.IPPROTO_IP, 10, 3),
}
_SIZES = (8950, 8930, 1450, 1430, 1410, 1400, 1380, 1360, 1340, 1320, 1300, 1280)
_HEAD = struct.Struct("!8sId")  # who asks, the size of the packet, and when it was sent


class Answer(NamedTuple):
    """The largest packet that came back (IP header included), and the shortest time that one took."""

    mtu: int
    round_trip_ms: float


def listen(inside: str, device: str, preferred_port: int = 0, tries: int = 1) -> socket.socket:
    """Return a UDP socket on the tunnel's own address.

    Its port is `preferred_port`, or the next of so many `tries`, or one that the kernel picks.

    Raise TunnelError when the address or device does not exist.
    """
    family = socket.AF_INET6 if ":" in inside else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_DGRAM)
    try:
        sock.setsockopt(*_WHOLE[family])
        for port in [*range(preferred_port, preferred_port + tries), 0]:
            try:
                sock.bind(socket_address(inside, port, device))
                break
            except OSError:
                if not port:
                    raise
    except OSError as error:
        sock.close()
        raise TunnelError(f"{device}: its address cannot be used: {error}") from error
    sock.setblocking(False)
    return sock


def socket_address(host: str, port: int, device: str) -> Tuple[Any, ...]:
    """Return an address as sockets take it; raise OSError without the device."""
    index = socket.if_nametoindex(device)
    return (host, port, 0, index) if ":" in host else (host, port)


def preferred_port() -> int:
    """Return a port that the far end's reflector may take: no other service's, seldom another migration's."""
    return 20000 + os.getpid() % 10000


def port_for_peers() -> int:
    """Return the same among libvirt's migration ports (UDP): the edge hub lets nothing else pass."""
    return 49152 + os.getpid() % 48


def reflect(sock: socket.socket, far: str) -> None:
    """Send packets of the far end back to it; answer no other sender."""
    try:
        data, sender = sock.recvfrom(65536)
        if sender[0].partition("%")[0] == far:
            sock.sendto(data, sender)
    except OSError:
        pass  # nothing there after all, or the tunnel is gone: the asker will notice


class Prober:
    """Asks the far end's reflector."""

    def __init__(self, inside: str, device: str, far: str, port: int) -> None:
        self._sock = listen(inside, device)
        self._to = socket_address(far, port, device)
        self._key = os.urandom(8)
        self._quickest = float("inf")  # milliseconds

    def use_port(self, port: int) -> None:
        """Ask at another port: the far end could not have the one that was wished for."""
        self._to = (self._to[0], port, *self._to[2:])

    def probe_once(self, mtu: int) -> None:
        """Send one packet of the full size to a far end that may not be there yet."""
        self._ask(mtu)

    def measure(self, mtu: int, seconds: float) -> Optional[Answer]:
        """Send packets of all sizes up to `mtu`, each of which must travel both ways whole.

        Wait for the largest; when the time is over, settle for the largest that came; None when nothing did.
        """
        started = time.monotonic()
        best, again = 0, started
        while time.monotonic() < started + seconds and best < mtu:
            if time.monotonic() >= again:
                for size in sizes(mtu):
                    self._ask(size)
                again += max(seconds / 4, 0.2)
            best = max([best, *(size for size in self.answers(0.05) if size <= mtu)])
        return Answer(best, self._quickest) if best else None

    def ask(self) -> None:
        """Send one small packet: a sign of life will come back."""
        self._ask(_HEADERS[self._sock.family] + _HEAD.size)

    def answers(self, seconds: float) -> List[int]:
        """Wait for at most so long; return the sizes of what came back by then."""
        found = []
        select.select([self._sock], [], [], seconds)
        try:
            while True:
                data = self._sock.recv(65536)
                if data[:8] == self._key and len(data) >= _HEAD.size:
                    found.append(self._arrived(*_HEAD.unpack_from(data)[1:]))
        except OSError:
            return found

    def _arrived(self, size: int, sent: float) -> int:
        took = (time.monotonic() - sent) * 1000
        self._quickest = min(self._quickest, took)
        return size

    def close(self) -> None:
        """Let go of the socket."""
        self._sock.close()

    def _ask(self, size: int) -> None:
        packet = _HEAD.pack(self._key, size, time.monotonic()).ljust(
            size - _HEADERS[self._sock.family], b"\0"
        )
        with contextlib.suppress(
            OSError
        ):  # too large for the device, or no device: the missing answer shows it
            self._sock.sendto(packet, self._to)


def sizes(mtu: int) -> List[int]:
    """Return the packet sizes worth asking for, the full size first."""
    return [mtu] + [size for size in _SIZES if size < mtu]
