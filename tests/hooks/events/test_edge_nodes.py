"""Edge nodes that join, move, leave and are revoked become events, from what their part published."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from hooks.edge import published_nodes, whereabouts
from hooks.edge.records import Node, State
from hooks.events import edge_nodes, part
from hooks.events.changes import Known
from hooks.events.facts import Object
from onext import published
from onext.cloud.model import Host
from onext.cloud.snapshot import Cloud
from onext.part import Context
from onext.paths import Paths
from onext.settings import Settings
from onext.settings.edge import Edge
from onext.settings.events import Events, EventSink
from tests.hooks.events.test_part import CONFIG, FrontEnd, Played, received, show

NODE = Node("edge-1", 100, State.JOINING, "1" * 64, "wireguard", "ssh", "session", 0, 5.0)


@pytest.fixture
def context(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Context:
    """Return a front-end with edge nodes and a sink for events about them."""
    monkeypatch.setenv("ONE_LOCATION", str(tmp_path))
    sink = EventSink(name="log", kind="file", path=tmp_path / "events.jsonl", types=("edge.*",))
    made = Played(Paths.find(), Settings(edge=Edge(enabled=True), events=Events(sinks=(sink,))))
    made.__dict__["oned"] = FrontEnd()
    show(made, Cloud.of([Host(0, "host", 2)], documents=CONFIG))
    monkeypatch.setattr(part, "_state", part._State())
    return made


def test_a_node_joins_moves_and_is_revoked(context: Context, monkeypatch: pytest.MonkeyPatch) -> None:
    """That a site moved or was revoked would be found in the log of one server only."""
    seen: dict[str, str] = {}
    monkeypatch.setattr(whereabouts, "read", lambda _: seen)

    def after(node: Node) -> None:
        published_nodes.publish(context.paths, {7: node})
        part.reconcile(context, [])

    try:
        part.reconcile(context, [])
        after(NODE)
        seen["wireguard"] = "203.0.113.7"
        active = replace(NODE, state=State.ACTIVE, host=4)
        after(active)
        seen.clear()
        after(active)  # it is silent: nothing happened to it
        seen["wireguard"] = "203.0.113.8"
        after(active)
        certified = replace(active, certified=1_700_000_000.0)
        after(certified)
        after(replace(certified, state=State.REVOKED))
        events = [one for one in received(context, 7) if str(one["subject"]) == "edge/7"]
    finally:
        part._state.senders.stop()
    kinds = [str(one["type"]).removeprefix("io.opennebula.onext.edge.") for one in events]
    assert kinds == ["created", "state", "moved", "renewed", "state"]


def test_nodes_are_not_gone_while_nothing_is_published(context: Context) -> None:
    """A file that is missing after a restart, or the part being off, would report all sites as deleted."""
    published_nodes.publish(context.paths, {7: NODE})
    cloud = context.cloud()
    known: dict[Object, Known] = {}
    (created,) = [
        one for one in part._changes(context, cloud, known, late=False) if one.object.kind == "edge"
    ]
    known = {created.object: Known(created.facts, created.id)}
    (context.paths.state / "published/edge.json").unlink()
    assert not [one for one in part._changes(context, cloud, known, late=False) if one.object.kind == "edge"]


@pytest.mark.parametrize("nodes", [None, [], {"x": {}}, {"1": 5}, {"-1": {}}])
def test_a_damaged_document_names_no_node(context: Context, nodes: object) -> None:
    """An error in each round would end all events."""
    published.write(context.paths, "edge", {"nodes": nodes})
    assert not edge_nodes.read(context.paths)


def test_no_key_and_no_session_leaves(context: Context) -> None:
    """Keys and sessions of nodes would reach another company's server."""
    published_nodes.publish(context.paths, {7: NODE})
    found = edge_nodes.read(context.paths)
    assert found == {
        Object("edge", 7): {
            "name": "edge-1",
            "state": "joining",
            "cluster": 100,
            "host_id": -1,
            "address": "",
        }
    }
