"""The hub asks nodes to look for changes now, when it drops a peer of their cluster.

Direct peers of a node that was revoked would keep it until they ask next, two minutes later.
"""

from __future__ import annotations

import socket
import sys
from collections.abc import Iterable
from ipaddress import IPv6Address

from hooks.edge.hub_plan import Hub

PORT = 51819  # as in edge/bell.py


def concerned(before: Hub, after: Hub) -> list[IPv6Address]:
    """Return the peers that are left in the clusters of those that are gone or have another key."""
    kept = {peer.key for peer in after.peers}
    clusters = {peer.cluster for peer in before.peers if peer.key not in kept}
    return [peer.address for peer in after.peers if peer.cluster in clusters]


def ring(addresses: Iterable[IPv6Address]) -> None:
    """Send one datagram to each; what does not arrive costs two minutes, and nothing else."""
    try:
        with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as sender:
            sender.setblocking(False)
            for address in addresses:
                sender.sendto(b"look", (str(address), PORT))
    except OSError as error:
        sys.stderr.write(f"onext-edge-hub: nodes learn of a change when they ask next: {error}\n")
