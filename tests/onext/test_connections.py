"""Places for connections: a limit for all and for each address, and Prometheus always finds one."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from onext.client_network import network
from onext.connections import Connections

MOST, PER_ADDRESS, RESERVED, REMEMBERED = 64, 32, 16, 64
PROMETHEUS, STRANGER = "192.0.2.1", "198.51.100.1"


class Fake(socket.socket):
    """A socket of which only the end is of interest."""

    def __init__(self) -> None:
        super().__init__(socket.AF_UNIX)
        self.over = False

    def shutdown(self, _how: int, /) -> None:
        """Remember that the connection was ended."""
        self.over = True


@pytest.fixture
def fakes() -> Iterator[list[Fake]]:
    """Return a list that fills with sockets and closes them."""
    made: list[Fake] = []
    yield made
    for fake in made:
        fake.close()


def opened(connections: Connections, fakes: list[Fake], address: str, number: int = 1) -> int:
    """Open so many connections; return how many found a place."""
    found = 0
    for _ in range(number):
        fakes.append(Fake())
        found += connections.take(fakes[-1], address) is not None
    return found


def test_S9_one_address_ends_only_its_own(fakes: list[Fake]) -> None:
    """One machine with 64 silent connections must not lock out every other."""
    connections = Connections(MOST, PER_ADDRESS, RESERVED)
    assert opened(connections, fakes, STRANGER, MOST + 10) == MOST + 10
    ended = [fake.over for fake in fakes]
    assert ended == [True] * (MOST + 10 - PER_ADDRESS) + [False] * PER_ADDRESS  # the oldest first
    assert opened(connections, fakes, PROMETHEUS) == 1
    assert sum(not fake.over for fake in fakes) == PER_ADDRESS + 1


def test_S9_reserved_for_who_was_answered_before(fakes: list[Fake]) -> None:
    """A thousand machines with silent connections must not lock out the Prometheus that scrapes every 15 s."""
    connections = Connections(MOST, PER_ADDRESS, RESERVED)
    mine = Fake()
    fakes.append(mine)
    place = connections.take(mine, PROMETHEUS)
    assert place
    connections.allowed(place)
    connections.release(place)
    for number in range(200):
        opened(connections, fakes, f"10.0.0.{number}")
    assert sum(not fake.over for fake in fakes[1:]) == MOST - RESERVED
    before = [fake.over for fake in fakes]
    assert opened(connections, fakes, PROMETHEUS, RESERVED) == RESERVED
    assert [fake.over for fake in fakes[: len(before)]] == before  # it needed nobody else's place
    assert opened(connections, fakes, PROMETHEUS) == 1
    assert not any(fake.over for fake in fakes[len(before) :])  # a stranger's was ended


def test_S9_a_request_that_is_being_answered_is_not_ended(fakes: list[Fake]) -> None:
    """A scrape of two seconds must reach its end, whoever comes meanwhile."""
    connections = Connections(MOST, PER_ADDRESS, RESERVED)
    places = []
    for _ in range(PER_ADDRESS):
        fakes.append(Fake())
        place = connections.take(fakes[-1], PROMETHEUS)
        assert place
        connections.allowed(place)
        places.append(place)
    assert opened(connections, fakes, PROMETHEUS) == 0
    assert not any(fake.over for fake in fakes)
    connections.answered(places[3])
    assert opened(connections, fakes, PROMETHEUS) == 1
    assert [fake.over for fake in fakes[:5]] == [False, False, False, True, False]


def test_addresses_that_count_as_one() -> None:
    """A machine has 2^64 addresses of IPv6, and an IPv4 address has two forms where `::` is listened on."""
    assert network("2001:db8:1:2:3::4") == network("2001:db8:1:2:ffff::1") == "2001:db8:1:2::"
    assert network("::ffff:192.0.2.1") == network("192.0.2.1")
    assert network("fe80::1%eth0") == "fe80::"
    assert network("odd") == "odd"


@given(st.lists(st.tuples(st.integers(0, 80), st.sampled_from(["take", "allow", "answer", "release"]))))
def test_never_more_than_the_limits(steps: list[tuple[int, str]]) -> None:
    """Whatever clients do, threads and memory are bounded."""
    connections = Connections(MOST, PER_ADDRESS, RESERVED)
    places = []
    with_sockets: list[Fake] = []
    for number, step in steps:
        if step == "take":
            with_sockets.append(Fake())
            if place := connections.take(with_sockets[-1], f"10.0.{number % 7}.{number}"):
                places.append(place)
        elif places:
            place = places[number % len(places)]
            {"allow": connections.allowed, "answer": connections.answered, "release": connections.release}[
                step
            ](place)
        by_address = [place.address for place in connections._places]
        assert len(by_address) <= MOST
        assert max(map(by_address.count, by_address), default=0) <= PER_ADDRESS
        assert len(connections._served) <= REMEMBERED
    for fake in with_sockets:
        fake.close()


@pytest.mark.parametrize(("others", "kept"), [(63, True), (64, False)])
def test_S9_the_address_that_asked_longest_ago_is_forgotten(
    fakes: list[Fake], others: int, kept: bool
) -> None:
    """A list that grows with each address that ever asked would fill the memory; the regular one stays."""
    connections = Connections(MOST, PER_ADDRESS, RESERVED)
    for address in (STRANGER, PROMETHEUS, *(f"10.1.0.{number}" for number in range(others - 1)), STRANGER):
        fakes.append(Fake())
        place = connections.take(fakes[-1], address)
        assert place
        connections.allowed(place)
        connections.release(place)
    for number in range(48):
        opened(connections, fakes, f"10.2.0.{number}")
    assert opened(connections, fakes, STRANGER) == 1
    assert not any(fake.over for fake in fakes)
    assert opened(connections, fakes, PROMETHEUS) == 1
    assert any(fake.over for fake in fakes) != kept
