"""WireGuard's datagrams on a stream, with sockets and a clock that the test plays."""

from __future__ import annotations

import socket
import ssl
import struct
from types import SimpleNamespace
from typing import Any, cast

import pytest

from edge import line
from edge.line import LONGEST, SHORTEST, WAITING, Line


class Stream:
    """A TLS stream: pieces that arrive, and how much it takes at once."""

    def __init__(self) -> None:
        self.pieces: list[bytes] = []
        self.sent, self.takes = b"", 1 << 30
        self.options: list[object] = []
        self.sizes: list[int] = []

    def setblocking(self, flag: bool) -> None:
        self.options.append(flag)

    def setsockopt(self, *words: object) -> None:
        self.options.append(words)

    def recv(self, size: int) -> bytes:
        self.sizes.append(size)
        if not self.pieces:
            raise ssl.SSLWantReadError
        return self.pieces.pop(0)

    def pending(self) -> int:
        return len(self.pieces)

    def send(self, data: bytes) -> int:
        self.sizes.append(len(data))
        if not self.takes:
            raise ssl.SSLWantWriteError
        taken = min(self.takes, len(data))
        self.sent += bytes(data[:taken])
        return taken


class Datagrams:
    """A UDP socket: datagrams that arrive, and those that were sent."""

    def __init__(self) -> None:
        self.waiting: list[bytes] = []
        self.sent: list[bytes] = []
        self.full, self.blocking = False, True

    def setblocking(self, flag: bool) -> None:
        self.blocking = flag

    def recv(self, _size: int) -> bytes:
        if not self.waiting:
            raise BlockingIOError
        return self.waiting.pop(0)

    def send(self, data: bytes) -> None:
        if self.full:
            raise ConnectionRefusedError
        self.sent.append(bytes(data))


class Played:
    """A line between both, and a clock."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.now, self.stream, self.datagrams = 1000.0, Stream(), Datagrams()
        self.asked: list[tuple[list[object], list[object], float]] = []
        self.answered: list[float] = []
        patch.setattr(line, "time", SimpleNamespace(monotonic=lambda: self.now))
        patch.setattr(line, "select", SimpleNamespace(select=self._select))
        parts = cast("Any", self.stream), cast("Any", self.datagrams)
        self.line = Line(*parts, lambda: self.answered.append(self.now))

    def _select(
        self, reading: list[Any], writing: list[Any], _: object, seconds: float
    ) -> tuple[Any, Any, Any]:
        self.asked.append((reading, writing, seconds))
        ready = [one for one in reading if (one.pieces if one is self.stream else one.waiting)]
        return ready, writing, []

    def turn(self, *pieces: bytes, datagrams: tuple[bytes, ...] = ()) -> None:
        """Let pieces arrive at the stream and datagrams at the socket."""
        self.stream.pieces += pieces
        self.datagrams.waiting += datagrams
        self.line._turn()


@pytest.fixture
def played(monkeypatch: pytest.MonkeyPatch) -> Played:
    """Return a line that carried nothing yet."""
    return Played(monkeypatch)


def framed(data: bytes) -> bytes:
    """Return a datagram as it is on the stream."""
    return struct.pack(">H", len(data)) + data


@pytest.mark.parametrize("cut", [1, 2, 3, 20, 41, 42, 43, 60])
def test_datagrams_that_arrive_in_pieces(played: Played, cut: int) -> None:
    """TCP keeps no borders: half a datagram would be taken for a whole one."""
    data = framed(b"a" * 40) + framed(b"b" * SHORTEST)
    played.turn(data[:cut])
    played.turn(data[cut:])
    assert played.datagrams.sent == [b"a" * 40, b"b" * SHORTEST]
    played.turn(framed(b"c" * LONGEST), framed(b"d" * 40))
    assert played.datagrams.sent[2:] == [b"c" * LONGEST, b"d" * 40]


def test_keepalives_and_the_largest_packets_are_carried() -> None:
    """A tunnel without keepalives dies with its NAT; one without large packets hangs at the first transfer."""
    assert SHORTEST == 32, "a keepalive: header, counter and tag"
    assert LONGEST == 9216, "more than the largest MTU with the headers of WireGuard"
    assert WAITING == 262_144, "a burst of one connection"


@pytest.mark.parametrize("size", [0, SHORTEST - 1, LONGEST + 1, 65_535])
def test_what_is_no_datagram_ends_the_line(played: Played, size: int) -> None:
    """The port is open to the Internet: a length must not become memory."""
    played.stream.pieces = [framed(b"a" * 40) + struct.pack(">H", size)]
    assert "not a WireGuard datagram" in played.line.run()
    assert played.datagrams.sent == [b"a" * 40]


def test_datagrams_of_wireguard_are_framed_and_others_dropped(played: Played) -> None:
    """What is too long or too short is not WireGuard's; one of them must not end what the others need."""
    datagrams = (b"x" * (SHORTEST - 1), b"a" * SHORTEST, b"x" * (LONGEST + 1), b"b" * LONGEST, b"")
    played.turn(datagrams=datagrams)
    while played.line._waiting:
        played.turn()
    assert played.stream.sent == framed(b"a" * SHORTEST) + framed(b"b" * LONGEST)
    assert played.answered == [1000.0]
    played.turn(datagrams=(b"c" * 40,))
    assert played.answered == [1000.0], "only the first one is news"


def test_only_so_many_datagrams_are_read_at_once(played: Played) -> None:
    """A hub that sends without a pause would keep the other direction waiting."""
    played.turn(datagrams=(b"a" * 40,) * 100)
    assert len(played.datagrams.waiting) == 36


def test_nothing_is_sent_while_nothing_waits(played: Played) -> None:
    """An empty write would be a turn without an end."""
    played.turn()
    assert played.asked == [([played.datagrams, played.stream], [], 1.0)]
    assert played.stream.sizes == []
    assert played.stream.options == [False, (socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)]
    assert played.datagrams.blocking is False


def test_a_stream_that_takes_little_gets_the_rest_later(played: Played) -> None:
    """A slow line would lose the middle of a datagram, and all that follows be nonsense."""
    played.stream.takes = 100
    played.turn(datagrams=(b"a" * 9000, b"b" * 9000))
    for _ in range(500):
        played.turn()
    assert played.stream.sent == framed(b"a" * 9000) + framed(b"b" * 9000)
    assert max(played.stream.sizes) == 16_384
    assert played.asked[1][1] == [played.stream]


def test_what_waits_has_a_bound(played: Played) -> None:
    """A node that reads nothing would fill the server's memory."""
    played.stream.takes = 0
    for _ in range(100):
        played.turn(datagrams=(b"a" * 9000,))
    assert WAITING <= len(played.line._waiting) < WAITING + 9002
    assert played.datagrams.waiting == [], "and the others are dropped"


def test_a_hub_that_reads_nothing_ends_no_line(played: Played) -> None:
    """One datagram would be lost on any way; the connection must not be."""
    played.datagrams.full = True
    played.turn(framed(b"a" * 40))
    played.datagrams.full = False
    played.turn(framed(b"b" * 40))
    assert played.datagrams.sent == [b"b" * 40]


def test_a_held_line_delivers_nothing_and_still_sends(played: Played) -> None:
    """A trial of UDP would be answered over TLS; what was held arrives afterwards."""
    played.line.hold(True)
    played.turn(framed(b"a" * 40), datagrams=(b"b" * 40,))
    assert played.datagrams.sent == []
    assert played.stream.sent == framed(b"b" * 40)
    assert played.asked[-1][0] == [played.datagrams]
    played.line.hold(False)
    played.turn()
    assert played.datagrams.sent == [b"a" * 40]


@pytest.mark.parametrize(
    ("far", "near", "seconds", "reason"),
    [
        (False, False, 30.0, ""), (False, False, 30.1, "no datagram came"),
        (True, False, 30.0, ""), (True, False, 30.1, "no datagram came"), (False, True, 30.1, "no datagram came"),
        (True, True, 120.0, ""), (True, True, 120.1, "no datagram came"),
    ],
)  # fmt: skip
def test_a_silent_line_ends(played: Played, far: bool, near: bool, seconds: float, reason: str) -> None:
    """A stranger would keep a place for ever, and a node stay on a line that carries nothing."""
    played.turn(*([framed(b"a" * 40)] if far else []), datagrams=(b"b" * 40,) if near else ())
    played.now += seconds
    assert played.line._overdue() == reason


def test_each_side_counts(played: Played) -> None:
    """A hub that is down would be hidden by a node that asks and asks."""
    played.turn(framed(b"a" * 40), datagrams=(b"b" * 40,))
    played.now += 100.0
    played.turn(framed(b"a" * 40))
    played.now += 20.1
    assert played.line._overdue() == "no datagram came"
    played.turn(datagrams=(b"b" * 40,))
    assert played.line._overdue() == ""


def test_a_stream_that_takes_nothing_ends(played: Played) -> None:
    """What waits would wait until the memory is full; a line that was idle before has its whole time."""
    played.turn(framed(b"a" * 40), datagrams=(b"b" * 40,))
    played.now += 100.0
    played.stream.takes = 0
    played.turn(framed(b"a" * 40), datagrams=(b"b" * 40,))
    played.now += 30.0
    assert played.line._overdue() == ""
    played.turn(framed(b"a" * 40), datagrams=(b"c" * 40,))
    played.now += 0.1
    assert played.line._overdue() == "the other side accepts no data"
    played.stream.takes = 10
    played.turn()
    assert played.line._overdue() == "", "it took some"


def test_a_line_ends_with_its_reason(played: Played) -> None:
    """The person at the node reads why it is slow now."""
    played.stream.pieces = [framed(b"a" * 40), b""]
    assert played.line.run() == "the other side ended"
    assert played.datagrams.sent == [b"a" * 40]
    played.line.end()
    assert played.line.run() == "ended"
