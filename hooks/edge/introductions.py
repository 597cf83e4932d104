"""Who is introduced to whom: nodes of one cluster, each with the endpoint at which the other may reach it.

The hub sees the endpoint of each node. Behind one public address they use their own network's addresses;
else each dials the other's public endpoint: that opens both NATs where they keep a port for all destinations.
"""

from __future__ import annotations

from collections.abc import Mapping
from ipaddress import ip_address

from edge import word
from edge.overlay import Pool
from hooks.edge.addresses import node_address
from hooks.edge.hub_plan import NEIGHBOURS
from hooks.edge.records import Node, Zone


def peers(
    zone: Zone, nodes: Mapping[int, Node], number: int, seen: Mapping[str, str], own: Mapping[int, str]
) -> list[dict[str, str]]:
    """Return the direct peers to try for a node: key, endpoint and overlay address.

    `seen` has the endpoint of each WireGuard key as the hub sees it, `own` what nodes state of their network.
    """
    cluster = nodes[number].cluster
    members = [n for n, node in sorted(nodes.items()) if node.cluster == cluster and node.state.peer]
    place = members.index(number)
    near = members[max(0, place - NEIGHBOURS) : place + NEIGHBOURS + 1]
    here = _host(seen.get(nodes[number].wireguard, ""))
    found = []
    for other in near:
        there = seen.get(nodes[other].wireguard, "")
        endpoint = own.get(other, "") if here and here == _host(there) else there
        if other != number and here and _usable(endpoint, zone.pool):
            address = str(node_address(zone.pool, other))
            found.append({"key": nodes[other].wireguard, "endpoint": endpoint, "address": address})
    return found


def _usable(endpoint: str, pool: Pool) -> bool:
    """Whether nodes take an endpoint, and it lies beside the tunnel, which cannot lead through itself."""
    try:
        return ip_address(word.split(endpoint)[0]) not in pool
    except ValueError:
        return False


def _host(endpoint: str) -> str:
    return endpoint.rpartition(":")[0]
