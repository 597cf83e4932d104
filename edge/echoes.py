"""ICMP echoes of a given size, never fragmented at this end: whether a packet of that size comes back."""

import contextlib
import os
import socket
import struct
from typing import Set, Tuple

from edge import overlay

Heard = Set[Tuple[str, int]]  # address and size
_MARK = 16  # bytes that tell our echoes from others
_PROBE = 3  # IP_PMTUDISC_PROBE of Linux: no fragments, whatever the route says


class _Version6:
    """ICMPv6, whose checksums the kernel makes, and whose sockets give no header."""

    head, request, reply = 40, 128, 129
    protocol = socket.IPPROTO_ICMPV6
    discover = (socket.IPPROTO_IPV6, 23)  # IPV6_MTU_DISCOVER
    blocked = (socket.IPPROTO_ICMPV6, 1)  # ICMP6_FILTER

    @classmethod
    def filter(cls) -> bytes:
        """Return what lets replies pass only."""
        words = [0xFFFFFFFF] * 8
        words[cls.reply // 32] &= ~(1 << cls.reply % 32)
        return struct.pack("8I", *words)

    @staticmethod
    def sealed(packet: bytes) -> bytes:
        """Return a packet as it is sent."""
        return packet

    @staticmethod
    def payload(data: bytes) -> bytes:
        """Return what was received without the IP header."""
        return data


class _Version4:
    """ICMP of IPv4."""

    head, request, reply = 20, 8, 0
    protocol = socket.IPPROTO_ICMP
    discover = (socket.IPPROTO_IP, 10)  # IP_MTU_DISCOVER
    blocked = (255, 1)  # SOL_RAW, ICMP_FILTER

    @classmethod
    def filter(cls) -> bytes:
        """Return what lets replies pass only."""
        return struct.pack("I", 0xFFFFFFFF & ~(1 << cls.reply))

    @staticmethod
    def sealed(packet: bytes) -> bytes:
        """Return a packet with its checksum (RFC 1071)."""
        even = packet + b"\0" * (len(packet) % 2)
        total = sum(struct.unpack(f"!{len(even) // 2}H", even))
        while total >> 16:
            total = (total & 0xFFFF) + (total >> 16)
        return packet[:2] + struct.pack("!H", ~total & 0xFFFF) + packet[4:]

    @staticmethod
    def payload(data: bytes) -> bytes:
        """Return what was received without the IP header, whose length is its own fourth to eighth bit."""
        return data[(data[0] & 15) * 4 :] if data else data


class Echoes:
    """A raw socket for echoes to addresses of one family."""

    def __init__(self, address: str) -> None:
        """Open it for the family of an address; raise OSError without CAP_NET_RAW."""
        self._icmp = _Version6 if ":" in address else _Version4
        self._socket = socket.socket(overlay.family(address), socket.SOCK_RAW, self._icmp.protocol)
        self._socket.setblocking(False)
        self._socket.setsockopt(*self._icmp.discover, _PROBE)
        self._socket.setsockopt(*self._icmp.blocked, self._icmp.filter())
        self._mark = os.urandom(_MARK)

    def send(self, address: str, size: int) -> None:
        """Send an echo request that is `size` bytes long with its IP header."""
        packet = struct.pack("!BBHHH", self._icmp.request, 0, 0, 0, 0) + self._mark
        with contextlib.suppress(OSError):  # no route, or larger than the interface allows
            self._socket.sendto(self._icmp.sealed(packet.ljust(size - self._icmp.head, b"\0")), (address, 0))

    def heard(self) -> Heard:
        """Return what was answered since the last call."""
        found = set()
        with contextlib.suppress(OSError):  # all are read
            while True:
                data, sender = self._socket.recvfrom(65536)
                content = self._icmp.payload(data)
                if content[8 : 8 + _MARK] == self._mark:
                    found.add((str(sender[0]), len(content) + self._icmp.head))
        return found

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()
