"""Which nodes have the migrate driver that is installed here: asked by OpenNebula's own user."""

from __future__ import annotations

import json

from onext import process
from onext.install.front_end import FrontEnd
from onext.part import Check

_TIMEOUT = 600.0  # seconds for all of a zone's hosts, some of which are down


def checks(front_end: FrontEnd) -> list[Check]:
    """Return what the command reports about the hosts; nothing where it cannot be run or knows no hosts."""
    command = [str(front_end.paths.bin / "onext"), "tunnel", "drivers", "--json"]
    try:
        rows = json.loads(process.run(command, timeout=_TIMEOUT, check=False).stdout)
    except (process.CommandError, ValueError):
        return []
    return [Check("nodes", row["state"], row["message"], row["remedy"]) for row in rows]


def left(front_end: FrontEnd, *, changed: bool) -> list[str]:
    """Return what is left to a person after an install; `changed` is whether it changed the driver."""
    stale = [f"{one.message}: {one.remedy}" for one in checks(front_end) if one.level != "ok"]
    due = "still to do: onehost sync --force, or ./install.sh --sync: nodes have copies of the migrate driver"
    return [*([due] if changed or stale else []), *stale]
