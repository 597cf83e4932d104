"""Which nodes are introduced to each other, and by which endpoint."""

from __future__ import annotations

import json
from dataclasses import replace
from ipaddress import IPv6Network
from pathlib import Path

from edge import answer
from hooks.edge import bell, hub_plan, introductions, whereabouts
from hooks.edge.records import Node, State, Zone
from tests.edge.test_program import CA
from tests.hooks.edge.front_end import wireguard_key

ZONE = Zone(IPv6Network("fd00::/64"), "0" * 64, "1" * 64, CA, CA)
NODE = Node("edge", 100, State.ACTIVE, "2" * 64, "", CA, "s", 0, 0.0)


def nodes(*clusters: int) -> dict[int, Node]:
    """Return nodes of these clusters."""
    return {
        number: replace(NODE, name=f"edge-{number}", cluster=cluster, wireguard=wireguard_key())
        for number, cluster in enumerate(clusters)
    }


def test_neighbours_use_their_network_and_others_their_public_endpoints() -> None:
    """Behind one NAT the public address leads nowhere; behind two the private one does, or to a stranger."""
    known = nodes(100, 100, 100, 101)
    seen = {known[n].wireguard: f"203.0.113.{n // 2}:{5000 + n}" for n in known}
    own = {n: f"192.168.1.{n}:{5000 + n}" for n in known}
    found = introductions.peers(ZONE, known, 0, seen, own)
    assert [(peer["address"], peer["endpoint"]) for peer in found] == [
        ("fd00::1:1", "192.168.1.1:5001"),
        ("fd00::1:2", "203.0.113.1:5002"),
    ]
    assert {peer["key"] for peer in found} == {known[1].wireguard, known[2].wireguard}
    kept = answer._peer(found[0], ZONE.pool)
    assert kept == found[0], "the node takes what it is given"


def test_nobody_is_introduced_to_who_left_or_was_never_seen() -> None:
    """A revoked node must not be a peer that no hub filters."""
    known = nodes(100, 100, 100)
    known[1] = replace(known[1], state=State.REVOKED)
    seen = {known[n].wireguard: f"203.0.113.{n}:5000" for n in known}
    assert [peer["address"] for peer in introductions.peers(ZONE, known, 0, seen, {})] == ["fd00::1:2"]
    assert introductions.peers(ZONE, known, 0, {}, {}) == []
    del seen[known[2].wireguard]
    assert introductions.peers(ZONE, known, 0, seen, {}) == []


def test_a_large_cluster_is_no_full_mesh() -> None:
    """1,000 nodes that keep 999 sessions each are a flood; whoever introduces introduces both."""
    known = nodes(*[100] * 200)
    seen = {node.wireguard: f"203.0.113.{n}:5000" for n, node in known.items()}
    met = {
        n: {peer["key"] for peer in introductions.peers(ZONE, known, n, seen, {})} for n in (0, 100, 101, 199)
    }
    assert {len(found) for found in met.values()} == {32, 64}
    assert known[100].wireguard in met[101]
    assert known[101].wireguard in met[100]


def test_a_hub_file_that_is_damaged_introduces_nobody(tmp_path: Path) -> None:
    """The hub's process may be an attacker's: what it writes becomes commands of root on nodes."""
    file = tmp_path / "endpoints.json"
    key = wireguard_key()
    for text in (
        "",
        "[",
        "[]",
        json.dumps({key: "x; reboot:1"}),
        json.dumps({key: "(none)"}),
        json.dumps({key: 7}),
    ):
        file.write_text(text)
        assert whereabouts.endpoints(file) == {}
    file.write_text(json.dumps({key: "203.0.113.7:5000"}))
    assert whereabouts.endpoints(file) == {key: "203.0.113.7:5000"}


def test_the_hub_rings_at_the_neighbours_of_who_is_gone() -> None:
    """A revoked node stayed its neighbours' direct peer for two minutes; a join must not wake everybody."""
    peers = [
        hub_plan.Peer(wireguard_key(), ZONE.pool[n], cluster) for n, cluster in ((1, 100), (2, 100), (3, 101))
    ]
    before = hub_plan.Hub("onext-edge", ZONE.pool[9], ZONE.pool, 51820, 1280, (), (), tuple(peers))
    assert bell.concerned(before, replace(before, peers=tuple(peers[1:]))) == [ZONE.pool[2]]
    assert bell.concerned(replace(before, peers=tuple(peers[1:])), before) == []
    renewed = replace(peers[2], key=wireguard_key())
    assert bell.concerned(before, replace(before, peers=(*peers[:2], renewed))) == [ZONE.pool[3]]
