"""What other parts are told of edge nodes: name, cluster, state, host, and from where each dials in."""

from __future__ import annotations

from collections.abc import Mapping

from hooks.edge import whereabouts
from hooks.edge.records import Node
from onext import log, published
from onext.paths import Paths

NAME = "edge"  # of the document
_log = log.get("edge")


def publish(paths: Paths, nodes: Mapping[int, Node]) -> None:
    """Publish all nodes. A full disk is reported; existing nodes keep their connection."""
    try:
        published.write(
            paths, NAME, document(nodes, whereabouts.read(whereabouts.place(paths)), _last(paths))
        )
    except OSError as error:
        _log.warning("edge nodes were not published: %s", error)


def document(
    nodes: Mapping[int, Node], seen: Mapping[str, str], last: Mapping[str, str]
) -> Mapping[str, object]:
    """Return the document; a node that is silent now keeps the address that was published last."""
    return {
        "nodes": {
            str(number): {
                "name": node.name,
                "cluster": node.cluster,
                "state": node.state.value,
                "host_id": max(node.host, -1),
                "certified": int(node.certified),
                "address": seen.get(node.wireguard) or last.get(str(number), ""),
            }
            for number, node in sorted(nodes.items())
        }
    }


def _last(paths: Paths) -> Mapping[str, str]:
    found = (published.read(published.folder(paths), NAME) or {}).get("nodes")
    nodes = found if isinstance(found, dict) else {}
    return {number: str(node.get("address", "")) for number, node in nodes.items() if isinstance(node, dict)}
