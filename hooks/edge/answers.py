"""What a node is told after a join and whenever it asks: public values only, signed by the answer key."""

from __future__ import annotations

import base64
import json
from collections.abc import Collection, Mapping

from hooks.edge import certificates, secrets
from hooks.edge.addresses import node_address, server_address
from hooks.edge.records import Node, Server, Zone
from hooks.edge.requests import ANSWER, Request
from hooks.edge.secrets import Secrets
from onext.settings.edge import Edge

MOST_REVOKED = 4000  # keys that a node is given, the newest
MOST_HOSTS = 4000


def signed(kept: Secrets, request: Request, values: Mapping[str, object]) -> bytes:
    """Return the answer to a request as it is sent."""
    body = json.dumps({**values, "to": request.digest}, sort_keys=True).encode()
    signature = kept.signing(_answer_key(kept, request)).sign(ANSWER + body).hex()
    return json.dumps({"body": base64.b64encode(body).decode(), "signature": signature}).encode()


def _answer_key(kept: Secrets, request: Request) -> str:
    """Return the key that the node knows: the former one, where it has not asked since that was replaced."""
    if kept.file(secrets.FORMER_ANSWER).exists():
        former = kept.public(secrets.FORMER_ANSWER)
        if request.knows == former[: len(request.knows)] != "":
            return secrets.FORMER_ANSWER
    return secrets.ANSWER


def revoked(nodes: Collection[Node]) -> list[str]:
    """Return the ssh host keys of nodes that left, were revoked or installed anew, without those in use."""
    used = _used(nodes)
    return [key for node in nodes for key in _given_up(node) if key not in used][-MOST_REVOKED:]


def revoked_hosts(nodes: Collection[Node], names: Collection[str]) -> list[list[str]]:
    """Return the names, out of `names`, for which a revoked key has a certificate, each with the key."""
    used = _used(nodes)
    found = [
        [node.name, key] for node in nodes if node.name in names for key in _given_up(node) if key not in used
    ]
    return found[-MOST_REVOKED:]


def _given_up(node: Node) -> tuple[str, ...]:
    return node.revoked_keys if node.state.peer else (*node.revoked_keys, node.ssh_key)


def _used(nodes: Collection[Node]) -> set[str]:
    """Return the keys of nodes that are there: one that left may have joined again with its key."""
    return {node.ssh_key for node in nodes if node.state.peer}


def state(
    zone: Zone, servers: Mapping[int, Server], nodes: Mapping[int, Node], number: int, settings: Edge
) -> dict[str, object]:
    """Return what a node needs to know of the zone and of itself, without its certificate."""
    node = nodes[number]
    neighbours = [
        [str(node_address(zone.pool, other)), one.name]
        for other, one in sorted(nodes.items())
        if one.cluster == node.cluster and one.state.peer
    ]
    return {
        "session": node.session,
        "name": node.name,
        "cluster": node.cluster,
        "address": str(node_address(zone.pool, number)),
        "pool": str(zone.pool),
        "mtu": settings.mtu,
        "mtu_most": settings.largest_mtu,
        "hubs": [
            {
                "key": s.hub_key,
                "endpoint": s.hub,
                "address": str(server_address(zone.pool, n)),
                "name": s.name,
            }
            for n, s in sorted(servers.items())
        ],
        "servers": [[s.endpoint, s.digest] for _, s in sorted(servers.items())],
        "answer_key": zone.answer_key,
        "user_ca": zone.user_ca,
        "host_ca": zone.host_ca,
        "revoked": [*zone.revoked_users, *revoked(nodes.values())],
        "revoked_hosts": revoked_hosts(nodes.values(), {name for _, name in neighbours}),
        "hosts": neighbours[:MOST_HOSTS],
    }


def certificate(kept: Secrets, zone: Zone, number: int, node: Node, *, now: float, days: int) -> str:
    """Return a node's host certificate, for its name and overlay address."""
    names = [node.name, str(node_address(zone.pool, number))]
    serial = number << 32 | int(now) & 0xFFFFFFFF
    authority = kept.read(secrets.HOST_CA)
    return certificates.host(authority, node.ssh_key, names, serial=serial, now=now, days=days)
