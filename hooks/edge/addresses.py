"""Which overlay address each server and node has: by its number, in the zone's pool."""

from __future__ import annotations

import secrets
from ipaddress import IPv6Network

from edge.overlay import Address, Pool

_SERVERS = 0x10000  # addresses that a large pool keeps for front-ends; a small one keeps a sixteenth
_NODES = 10**8


def random_pool() -> IPv6Network:
    """Return a unique local network (RFC 4193) of our own."""
    return IPv6Network(((0xFD << 120) | secrets.randbits(40) << 80, 64))


def most_servers(pool: Pool) -> int:
    """Return for how many front-ends there are addresses."""
    return _first(pool) - 1


def most_nodes(pool: Pool) -> int:
    """Return how many node addresses the pool has, without IPv4's broadcast address."""
    return min(_NODES, pool.num_addresses - _first(pool) - (1 if pool.version == 4 else 0))


def server_address(pool: Pool, server: int) -> Address:
    """Return the overlay address of a front-end; a SOLO one has the id -1; raise ValueError."""
    number = max(server, 0)
    if number >= most_servers(pool):
        raise ValueError(f"pool {pool} has addresses for {most_servers(pool)} front-ends: none for {server}")
    return pool[number + 1]


def node_address(pool: Pool, number: int) -> Address:
    """Return the overlay address of a node; raise ValueError beyond the pool."""
    if not 0 <= number < most_nodes(pool):
        raise ValueError(f"pool {pool} has addresses for {most_nodes(pool)} nodes: none for {number}")
    return pool[_first(pool) + number]


def _first(pool: Pool) -> int:
    return min(_SERVERS, pool.num_addresses // 16)
