"""The facts about edge nodes, from what the part edge published on this server."""

from __future__ import annotations

from collections.abc import Mapping

from hooks.events.facts import LONGEST_NAME, Facts, Object
from onext import bounds, published
from onext.paths import Paths

KIND = "edge"
_LONGEST_ADDRESS = 45
_MOST = 2**31


def read(paths: Paths) -> Mapping[Object, Facts] | None:
    """Return the facts about every node, None where nothing can be read: no node is gone then."""
    found = (published.read(published.folder(paths), KIND) or {}).get("nodes")
    if not isinstance(found, dict):
        return None
    nodes = {bounds.whole(number, 0, _MOST): values for number, values in found.items()}
    return {
        Object(KIND, number): _facts(values)
        for number, values in nodes.items()
        if number is not None and isinstance(values, dict)
    }


def _facts(values: Mapping[str, object]) -> Facts:
    certified = _number(values.get("certified"))
    return {
        **({"certified": certified} if certified > 0 else {}),  # records of older versions have none
        "name": bounds.words(str(values.get("name")), LONGEST_NAME),
        "state": bounds.words(str(values.get("state")), LONGEST_NAME),
        "cluster": _number(values.get("cluster")),
        "host_id": _number(values.get("host_id")),
        "address": bounds.words(str(values.get("address")), _LONGEST_ADDRESS),
    }


def _number(value: object) -> int:
    return value if isinstance(value, int) else -1
