"""Ports that are given to programs."""

from pathlib import Path

import pytest

from sandbox.ports import free_port

pytestmark = pytest.mark.process


def test_each_is_free_and_another_one() -> None:
    """Two BMCs of a rack would be told the same port, or one that a connection takes meanwhile."""
    least = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    given = [free_port(datagram=number % 2 == 0) for number in range(200)]
    assert len(set(given)) == len(given)
    assert max(given) < least
