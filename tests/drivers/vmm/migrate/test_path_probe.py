"""Probes through the tunnel, played on the loopback device: both ends in one process."""

import socket
import struct
from collections.abc import Iterator

import pytest

from drivers.vmm.migrate.onext_migrate import path_probe
from drivers.vmm.migrate.onext_migrate.errors import TunnelError
from tests.drivers.vmm.migrate.clock import Clock
from tests.waiting import until

pytestmark = pytest.mark.process
DEVICE = "lo"
HEADERS = {socket.AF_INET6: 40 + 8, socket.AF_INET: 20 + 8}  # IP and UDP


@pytest.fixture(params=["::1", "127.0.0.1"])
def here(request: pytest.FixtureRequest) -> str:
    """Return the address of both ends: peers that are there anyway have IPv4 ones, too."""
    return str(request.param)


@pytest.fixture
def reflector(here: str) -> "Iterator[socket.socket]":
    """Return the far end's socket."""
    with path_probe.listen(here, DEVICE) as sock:
        yield sock


@pytest.fixture
def prober(here: str, reflector: "socket.socket") -> Iterator[path_probe.Prober]:
    """Return the near end."""
    prober = path_probe.Prober(here, DEVICE, here, reflector.getsockname()[1])
    yield prober
    prober.close()


def test_a_knock_is_answered_when_the_far_end_is_there(
    here: str, prober: path_probe.Prober, reflector: "socket.socket"
) -> None:
    """What was sent before the far end could answer must count, else a round trip is waited for."""
    prober.probe_once(1400)
    path_probe.reflect(reflector, here)
    answer = prober.measure(1400, 5)
    assert answer is not None
    assert answer.mtu == 1400
    assert answer.round_trip_ms > 0


def test_a_larger_knock_proves_nothing(
    here: str, prober: path_probe.Prober, reflector: "socket.socket"
) -> None:
    """The far end's device is the smaller: its MTU would be taken for that of the near one."""
    prober.probe_once(1450)
    path_probe.reflect(reflector, here)
    assert prober.measure(1400, 0.2) is None


def test_only_the_far_end_is_answered(prober: path_probe.Prober, reflector: "socket.socket") -> None:
    """A reflector without an endybody would be a weapon against others."""
    prober.ask()
    path_probe.reflect(reflector, "fe80::1")
    assert prober.answers(0.1) == []


def test_somebody_elses_answer_does_not_count(prober: path_probe.Prober) -> None:
    """Another migration in the same tunnel asks too; a late answer of its must not end our measurement."""
    own = prober._sock.getsockname()[:2]
    with socket.socket(prober._sock.family, socket.SOCK_DGRAM) as other:
        other.sendto(struct.pack("!8sId", b"stranger", 1400, 0.0), own)
        other.sendto(b"short", own)
    assert prober.answers(0.1) == []


def test_the_port_that_was_wished_for(here: str, reflector: "socket.socket") -> None:
    """Two migrations at once may wish for the same: the second takes another, and says which."""
    taken = reflector.getsockname()[1]
    with path_probe.listen(here, DEVICE, taken) as other:
        assert other.getsockname()[1] not in (0, taken)
    assert 20000 <= path_probe.preferred_port() < 30000


def test_a_device_that_is_not_there(here: str) -> None:
    """The migration would end with a traceback instead of going on without a tunnel."""
    with pytest.raises(TunnelError, match="oxt0: its address cannot be used"):
        path_probe.listen(here, "oxt0")


def test_a_probe_is_as_long_as_the_mtu_that_it_asks_for(
    prober: path_probe.Prober, reflector: "socket.socket"
) -> None:
    """The tunnel would get an MTU that is too large: packets of the migration are lost, or cut in pieces."""
    prober.probe_once(1400)
    assert len(until(lambda: _received(reflector), "the probe")) == 1400 - HEADERS[reflector.family]


def _received(sock: "socket.socket") -> bytes:
    try:
        return sock.recv(65536)
    except BlockingIOError:
        return b""


def test_what_does_not_travel_whole_does_not_travel(reflector: "socket.socket") -> None:
    """The kernel would cut a probe in pieces, and the tunnel get an MTU that is too large."""
    if reflector.family == socket.AF_INET6:
        assert reflector.getsockopt(socket.IPPROTO_IPV6, 62) == 1  # IPV6_DONTFRAG, linux/in6.h
    else:
        assert (
            reflector.getsockopt(socket.IPPROTO_IP, 10) == 3
        )  # IP_MTU_DISCOVER, IP_PMTUDISC_PROBE, linux/in.h


def test_ports_that_the_kernel_chooses(here: str, reflector: "socket.socket") -> None:
    """A service's port would be taken from it."""
    with path_probe.listen(here, DEVICE) as other:
        assert min(sock.getsockname()[1] for sock in (reflector, other)) >= 1024


def test_the_far_end_may_have_taken_another_port(
    here: str, prober: path_probe.Prober, reflector: "socket.socket"
) -> None:
    """Whoever asks on at the port that was wished for takes a tunnel that works for a dead one."""
    with path_probe.listen(here, DEVICE) as other:
        prober.use_port(other.getsockname()[1])
        prober.ask()
        path_probe.reflect(other, here)
    assert prober.answers(5) == [HEADERS[reflector.family] + 20]  # the size that the packet has on its way


def test_the_shortest_round_trip_counts(
    here: str, monkeypatch: pytest.MonkeyPatch, prober: path_probe.Prober, reflector: "socket.socket"
) -> None:
    """The log shows how far the other host is, in milliseconds."""
    clock = Clock()
    monkeypatch.setattr(path_probe, "time", clock)
    for seconds in (0.5, 0.25, 0.75):
        prober.probe_once(1400)
        clock.sleep(seconds)
        path_probe.reflect(reflector, here)
        assert until(lambda: prober.answers(1), "an answer") == [1400]
    prober.probe_once(1400)
    clock.sleep(1)
    path_probe.reflect(reflector, here)
    assert prober.measure(1400, 3) == (1400, 250.0)


class Scripted(path_probe.Prober):
    """A prober whose packets come back at certain times."""

    def __init__(self, clock: Clock, comes: dict[float, int]) -> None:
        self.clock, self.comes, self.asked = clock, dict(comes), list[tuple[float, int]]()
        self._quickest = 1.0

    clock: Clock
    comes: dict[float, int]
    asked: list[tuple[float, int]]

    def _ask(self, size: int) -> None:
        self.asked.append((self.clock.now, size))

    def answers(self, seconds: float) -> list[int]:
        """Return what has come by the end of this wait."""
        self.clock.sleep(seconds)
        return [self.comes.pop(at) for at in list(self.comes) if at <= self.clock.now]


@pytest.mark.parametrize(
    ("comes", "best", "ends"),
    [
        ({}, None, 3.0),
        ({0.1: 1400}, 1400, 0.1),  # the largest: nothing better can come
        ({0.1: 1300, 0.2: 1280}, 1300, 3.0),
        ({0.1: 1300, 2.9: 1400}, 1400, 2.9),
        ({0.1: 1401}, None, 3.0),  # an answer to a question of before
    ],
)
def test_the_largest_that_comes_back_within_the_time(
    monkeypatch: pytest.MonkeyPatch, comes: dict[float, int], best: int | None, ends: float
) -> None:
    """An MTU that is too small makes a migration slow, one that is too large hangs it."""
    clock = Clock()
    monkeypatch.setattr(path_probe, "time", clock)
    prober = Scripted(clock, comes)
    assert prober.measure(1400, 3) == (best and (best, 1.0))
    assert clock.now == ends
    assert [at for at, size in prober.asked if size == 1400] == [
        at for at in (0, 0.75, 1.5, 2.25) if at < ends
    ]
    assert [size for at, size in prober.asked if at == 0] == path_probe.sizes(1400)


def test_a_short_measurement_does_not_flood_the_line(monkeypatch: pytest.MonkeyPatch) -> None:
    """A dozen packets of full size at once, each fifth of a second at most."""
    clock = Clock()
    monkeypatch.setattr(path_probe, "time", clock)
    prober = Scripted(clock, {})
    assert prober.measure(1280, 0.4) is None
    assert prober.asked == [(0, 1280), (0.2, 1280)]


def test_sizes_that_are_asked_for() -> None:
    """The full one, and those of usual lines below it; each once."""
    assert path_probe.sizes(1400) == [1400, 1380, 1360, 1340, 1320, 1300, 1280]
    assert path_probe.sizes(1390)[:2] == [1390, 1380]
