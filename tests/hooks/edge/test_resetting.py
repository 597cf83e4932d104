"""`onext edge reset`: without the zone's keys, or for another pool, everything begins anew."""

from __future__ import annotations

import json

import pytest

from edge.errors import Refused
from hooks.edge.records import Book
from hooks.edge.secrets import Secrets
from tests.hooks.edge.front_end import FrontEnd, Machine

pytestmark = pytest.mark.process


def test_a_zone_whose_keys_are_lost_begins_anew(front_end: FrontEnd, key: str) -> None:
    """OpenNebula has no command that deletes documents: no node could ever join again."""
    machine, token = Machine("edge-1"), front_end.token("--uses", "5", "--name", "*")
    front_end.join(machine, token)
    host = front_end.answer(machine.ask("ready"), key)["host"]
    kept = Secrets.of(front_end.paths)
    for name in ("token.key", "user_ca"):
        kept.file(name).unlink()
    assert "lacks token.key, user_ca" in front_end.onext("init", check=False)
    shown = front_end.onext("reset", "--yes")
    assert f"`onehost delete {host}` before edge-1 joins again" in shown
    assert (kept.present(), front_end.hub()["peers"]) == ([], [])
    assert "run `onext edge init` first" in front_end.onext("list", check=False)
    assert "nothing to do" in front_end.onext("reset")
    front_end.onext("init", "--pool", "10.77.0.0/16")
    front_end.context.oned.call("host.delete", host)
    assert front_end.join(Machine("edge-1"), front_end.token())["address"] == "10.77.16.0"
    with pytest.raises(Refused, match="not signed by this zone"):
        front_end.join(Machine("edge-2"), front_end.token(), token=token.rpartition(":")[2])


def test_a_reset_asks_first(front_end: FrontEnd) -> None:
    """Every node of the zone loses its tunnel by it."""
    front_end.join(Machine("edge-1"), front_end.token())
    kept = Secrets.of(front_end.paths)
    before = kept.present()
    planned = json.loads(front_end.onext("reset", "--dry-run", "--json"))
    assert (planned["done"], planned["steps"][0]) == (False, "remove the records of nodes (1) and tokens (1)")
    assert "All nodes must join anew. Go on?" in front_end.onext("reset", check=False)
    assert kept.present() == before
    assert Book.of(front_end.context.oned).view().valid[0].name == "edge-1"
