"""The hub's list of peers: made from the documents, a local file that can be made again at any time."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from hooks.edge.addresses import node_address, server_address
from hooks.edge.records import Node, Zone
from onext import atomic
from onext.paths import Paths
from onext.settings.edge import Edge

FILE = "hub.json"


def place(paths: Paths) -> Path:
    """Return where the list is."""
    return paths.run / "edge" / FILE


def document(zone: Zone, nodes: Mapping[int, Node], server: int, settings: Edge) -> dict[str, object]:
    """Return the list for the hub of one server."""
    return {
        "interface": settings.interface,
        "address": str(server_address(zone.pool, server)),
        "pool": str(zone.pool),
        "port": int(settings.hub.rpartition(":")[2] or 51820),
        "mtu": settings.largest_mtu,
        "node_ports": [list(ports) for ports in settings.node_ports],
        "own_ports": sorted({*settings.front_end_ports, int(settings.endpoint.rpartition(":")[2] or 8443)}),
        "peers": [
            {"key": node.wireguard, "address": str(node_address(zone.pool, number)), "cluster": node.cluster}
            for number, node in sorted(nodes.items())
            if node.state.peer
        ],
    }


def write(paths: Paths, content: Mapping[str, object]) -> bool:
    """Replace the list; return whether it changed. The hub applies it within half a second."""
    file = place(paths)
    file.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
    return atomic.write(file, json.dumps(content, indent=1).encode(), 0o644)
