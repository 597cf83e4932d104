"""The hub notifies nodes when it drops a peer of their cluster, or when one of them joins or moves.

Direct peers of a node that was revoked would keep it until they ask next, two minutes later; and nodes that
joined would reach each other through the hub only until then.
"""

from __future__ import annotations

import socket
import sys
from collections.abc import Collection, Iterable, Mapping, Sequence

from edge import overlay
from edge.overlay import Address
from hooks.edge.hub_plan import NEIGHBOURS, Hub, Peer

PORT = 51819  # as in edge/bell.py


def concerned(before: Hub, after: Hub) -> list[Address]:
    """Return the peers that are left in the clusters of those that are gone or have another key."""
    kept = {peer.key for peer in after.peers}
    clusters = {peer.cluster for peer in before.peers if peer.key not in kept}
    return [peer.address for peer in after.peers if peer.cluster in clusters]


def moved(before: Mapping[str, str], now: Mapping[str, str]) -> set[str]:
    """Return the keys of peers that dial in from elsewhere than before; one that is silent has not moved."""
    return {key for key, endpoint in now.items() if endpoint != before.get(key, "")}


def near(hub: Hub, keys: Collection[str]) -> list[Address]:
    """Return the peers that are introduced to some of `keys`, and these."""
    found: list[Address] = []
    for members in _clusters(hub.peers).values():
        places = [place for place, peer in enumerate(members) if peer.key in keys]
        chosen = {one for place in places for one in range(place - NEIGHBOURS, place + NEIGHBOURS + 1)}
        found += [peer.address for place, peer in enumerate(members) if place in chosen]
    return found


def _clusters(peers: Iterable[Peer]) -> dict[int, list[Peer]]:
    clusters: dict[int, list[Peer]] = {}
    for peer in sorted(peers, key=lambda peer: peer.address):
        clusters.setdefault(peer.cluster, []).append(peer)
    return clusters


def ring(addresses: Sequence[Address]) -> None:
    """Send one datagram to each; what does not arrive costs two minutes, and nothing else."""
    if not addresses:
        return
    try:
        with socket.socket(overlay.family(addresses[0]), socket.SOCK_DGRAM) as sender:
            sender.setblocking(False)
            for address in addresses:
                sender.sendto(b"look", (str(address), PORT))
    except OSError as error:
        sys.stderr.write(f"onext-edge-hub: nodes learn of a change when they ask next: {error}\n")
