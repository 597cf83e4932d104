"""Probes through the tunnel, played on the loopback device: both ends in one process."""

import socket
import struct
from collections.abc import Iterator

import pytest

from drivers.vmm.migrate.onext_migrate import path_probe
from drivers.vmm.migrate.onext_migrate.errors import TunnelError
from tests.waiting import until

pytestmark = pytest.mark.process
HERE, DEVICE = "::1", "lo"


@pytest.fixture
def reflector() -> "Iterator[socket.socket]":
    """Return the far end's socket."""
    with path_probe.listen(HERE, DEVICE) as sock:
        yield sock


@pytest.fixture
def prober(reflector: "socket.socket") -> Iterator[path_probe.Prober]:
    """Return the near end."""
    prober = path_probe.Prober(HERE, DEVICE, HERE, reflector.getsockname()[1])
    yield prober
    prober.close()


def test_a_knock_is_answered_when_the_far_end_is_there(
    prober: path_probe.Prober, reflector: "socket.socket"
) -> None:
    """What was sent before the far end could answer must count, else a round trip is waited for."""
    prober.probe_once(1400)
    path_probe.reflect(reflector, HERE)
    answer = prober.measure(1400, 5)
    assert answer is not None
    assert answer.mtu == 1400
    assert answer.round_trip_ms > 0


def test_a_larger_knock_proves_nothing(prober: path_probe.Prober, reflector: "socket.socket") -> None:
    """The far end's device is the smaller: its MTU would be taken for that of the near one."""
    prober.probe_once(1450)
    path_probe.reflect(reflector, HERE)
    assert prober.measure(1400, 0.2) is None


def test_only_the_far_end_is_answered(prober: path_probe.Prober, reflector: "socket.socket") -> None:
    """A reflector without an endybody would be a weapon against others."""
    prober.ask()
    path_probe.reflect(reflector, "fe80::1")
    assert prober.answers(0.1) == []


def test_somebody_elses_answer_does_not_count(prober: path_probe.Prober) -> None:
    """Another migration in the same tunnel asks too; a late answer of its must not end our measurement."""
    own = prober._sock.getsockname()[:2]
    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as other:
        other.sendto(struct.pack("!8sId", b"stranger", 1400, 0.0), own)
        other.sendto(b"short", own)
    assert prober.answers(0.1) == []


def test_the_port_that_was_wished_for(reflector: "socket.socket") -> None:
    """Two migrations at once may wish for the same: the second takes another, and says which."""
    taken = reflector.getsockname()[1]
    with path_probe.listen(HERE, DEVICE, taken) as other:
        assert other.getsockname()[1] not in (0, taken)
    assert 20000 <= path_probe.preferred_port() < 30000


def test_a_device_that_is_not_there() -> None:
    """The migration would end with a traceback instead of going on without a tunnel."""
    with pytest.raises(TunnelError, match="oxt0: its address cannot be used"):
        path_probe.listen(HERE, "oxt0")


def test_a_probe_is_as_long_as_the_mtu_that_it_asks_for(
    prober: path_probe.Prober, reflector: "socket.socket"
) -> None:
    """The tunnel would get an MTU that is too large: packets of the migration are lost, or cut in pieces."""
    prober.probe_once(1400)
    assert len(until(lambda: _received(reflector), "the probe")) == 1400 - 40 - 8  # IPv6 and UDP


def _received(sock: "socket.socket") -> bytes:
    try:
        return sock.recv(65536)
    except BlockingIOError:
        return b""
