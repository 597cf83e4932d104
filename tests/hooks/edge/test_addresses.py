"""Addresses by number: never two alike, never outside the pool."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge import overlay
from hooks.edge.addresses import most_nodes, most_servers, node_address, random_pool, server_address

POOLS = ("fd00::/64", "fd00::/96", "fd00::/48", "10.0.0.0/8", "10.77.0.0/16", "192.168.7.0/24")


@given(st.sampled_from(POOLS), st.data())
def test_every_number_has_an_address_of_its_own(text: str, data: st.DataObject) -> None:
    """Two nodes with one address would take each other's packets."""
    pool = overlay.pool(text)
    server = data.draw(st.integers(0, most_servers(pool) - 1))
    one, other = (data.draw(st.integers(0, most_nodes(pool) - 1)) for _ in range(2))
    found = {server_address(pool, server), node_address(pool, one), node_address(pool, other)}
    assert len(found) == (2 if one == other else 3)
    assert all(address in pool for address in found)
    assert pool.network_address not in found
    assert pool.version == 6 or pool.broadcast_address not in found


@pytest.mark.parametrize(
    ("text", "servers", "nodes"),
    [
        ("192.168.7.0/24", 15, 239),
        ("10.77.0.0/16", 4095, 61_439),
        ("10.0.0.0/8", 65_535, 16_711_679),
        ("fd00::/64", 65_535, 10**8),
        ("fd00::/96", 65_535, 10**8),
    ],
)
def test_how_many_fit(text: str, servers: int, nodes: int) -> None:
    """A number beyond the pool is refused, also one in a record that somebody wrote."""
    pool = overlay.pool(text)
    assert (most_servers(pool), most_nodes(pool)) == (servers, nodes)
    for function, most in ((server_address, servers), (node_address, nodes)):
        assert function(pool, most - 1) in pool
        with pytest.raises(ValueError, match="none for"):
            function(pool, most)
    with pytest.raises(ValueError, match="none for -1"):
        node_address(pool, -1)
    assert server_address(pool, -1) == server_address(pool, 0), "a server without a zone of several"
    assert server_address(pool, 0) == pool[1] != server_address(pool, 1)


def test_addresses_of_nodes_that_joined_stay() -> None:
    """An upgrade that moves nodes to other addresses cuts all of them off."""
    pool = overlay.pool("fd0e:d6e0:1::/64")
    assert str(node_address(pool, 0)) == "fd0e:d6e0:1::1:0"
    assert str(node_address(pool, 41)) == "fd0e:d6e0:1::1:29"
    assert str(server_address(pool, 3)) == "fd0e:d6e0:1::4"


def test_a_random_pool_is_a_pool() -> None:
    """Two zones that are joined later must not have one network."""
    one, other = random_pool(), random_pool()
    assert one != other
    assert overlay.pool(str(one)) == one
    drawn = {random_pool() for _ in range(300)}
    assert len(drawn) == 300
    assert all(pool.prefixlen == 64 and pool.network_address.packed[0] == 0xFD for pool in drawn)
    for byte in (1, 5):  # the first and the last of the 40 random bits' bytes
        assert len({pool.network_address.packed[byte] & 0x80 for pool in drawn}) == 2
        assert len({pool.network_address.packed[byte] & 1 for pool in drawn}) == 2
    assert {pool.network_address.packed[6:8] for pool in drawn} == {b"\0\0"}
