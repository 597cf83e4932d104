"""Which nodes are introduced to each other, and by which endpoint."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from ipaddress import IPv6Address, IPv6Network, ip_address
from pathlib import Path
from types import SimpleNamespace

import pytest

from edge import answer
from edge import bell as node_bell
from hooks.edge import bell, hub, hub_plan, introductions, requests, whereabouts
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


@pytest.mark.parametrize("stated", ["[::ffff:10.0.0.1]:5", "[::]:5", "[fd12::1%eth0]:5"])
def test_one_node_that_lies_keeps_no_neighbour_from_its_answers(stated: str) -> None:
    """Nodes refuse an answer with one invalid endpoint as a whole, and would learn of no revocation any more."""
    known = nodes(100, 100, 100)
    seen = {node.wireguard: f"203.0.113.1:{5000 + n}" for n, node in known.items()}
    own = {1: requests._here([stated]), 2: "192.168.1.2:5002"}
    found = introductions.peers(ZONE, known, 0, seen, own)
    assert [answer._peer(peer, ZONE.pool)["address"] for peer in found] == ["fd00::1:2"]


@pytest.mark.parametrize("endpoint", ["[fd00::1:1]:22", "host.example:22"])
def test_what_a_node_states_of_its_network_is_no_loop(endpoint: str) -> None:
    """A neighbour that dials an overlay address sends its tunnel through its tunnel, without an end."""
    known = nodes(100, 100)
    seen = {node.wireguard: f"203.0.113.1:{5000 + n}" for n, node in known.items()}
    assert introductions.peers(ZONE, known, 0, seen, {1: endpoint}) == []


def test_a_large_cluster_is_no_full_mesh() -> None:
    """1,000 nodes that keep 999 sessions each are a flood; whoever introduces introduces both."""
    known = nodes(*[100] * 200)
    seen = {node.wireguard: f"203.0.113.{n}:5000" for n, node in known.items()}
    met = {
        n: {peer["key"] for peer in introductions.peers(ZONE, known, n, seen, {})} for n in (0, 100, 101, 199)
    }
    assert {len(found) for found in met.values()} == {32, 64}
    assert met[0] == {known[n].wireguard for n in range(1, 33)}
    fifth = {peer["key"] for peer in introductions.peers(ZONE, known, 5, seen, {})}
    assert fifth == {known[n].wireguard for n in range(38) if n != 5}
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


def cluster_of(size: int) -> hub_plan.Hub:
    """Return a hub with so many nodes in one cluster, and one in another."""
    peers = [hub_plan.Peer(wireguard_key(), ZONE.pool[n], 100) for n in range(1, size + 1)]
    peers.append(hub_plan.Peer(wireguard_key(), ZONE.pool[size + 1], 101))
    return hub_plan.Hub("onext-edge", ZONE.pool[0xFFFF], ZONE.pool, 51820, 1280, (), (), tuple(peers))


def test_the_hub_rings_where_nodes_are_introduced_and_nowhere_else() -> None:
    """One node that moves in a cluster of 1,000 made all of them ask at once."""
    large = cluster_of(200)
    assert bell.near(large, {large.peers[100].key}) == [ZONE.pool[n] for n in range(69, 134)]
    assert bell.near(large, {large.peers[0].key}) == [ZONE.pool[n] for n in range(1, 34)]
    assert bell.near(large, {large.peers[200].key}) == [ZONE.pool[201]]
    assert bell.near(large, {"unknown"}) == []


@pytest.mark.parametrize("version", [4, 6])
def test_the_bell_is_a_datagram_for_each_and_none_for_nobody(
    version: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nodes would learn of a revocation two minutes later; a hub that waits for one node filters nothing meanwhile."""
    sent: list[tuple[bytes, tuple[str, int]]] = []
    asked: list[object] = []

    def sendto(data: bytes, where: tuple[str, int]) -> None:
        if where[0].endswith("9"):
            raise BlockingIOError("full")
        sent.append((data, where))

    @contextmanager
    def opened(family: int, kind: int) -> Iterator[SimpleNamespace]:
        asked.append((family, kind))
        yield SimpleNamespace(setblocking=asked.append, sendto=sendto)
        asked.append("closed")

    monkeypatch.setattr(socket, "socket", opened)
    addresses = [ip_address(f"10.77.0.{n}" if version == 4 else f"fd00::{n}") for n in (1, 2)]
    bell.ring([])
    assert asked == []
    bell.ring(addresses)
    family = socket.AF_INET if version == 4 else socket.AF_INET6
    assert asked == [(family, socket.SOCK_DGRAM), False, "closed"]
    assert sent == [(b"look", (str(address), node_bell.PORT)) for address in addresses]
    assert capsys.readouterr().err == ""
    bell.ring([addresses[0] + 8])
    assert "when they ask next: full" in capsys.readouterr().err


def test_nodes_look_when_one_dials_in_from_elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Migrations crossed the hub for two minutes after each join and move; a silent node is no news."""
    three = cluster_of(2)
    one, two, _other = (peer.key for peer in three.peers)
    now: dict[str, str] = {}
    rung: list[list[IPv6Address]] = []

    def shown(*_words: str) -> bytes:
        return "".join(f"{peer.key}\t{now.get(peer.key, '(none)')}\n" for peer in three.peers).encode()

    def told() -> list[IPv6Address]:
        sight.tell(three)
        return rung[-1]

    monkeypatch.setattr(hub, "_run", shown)
    monkeypatch.setattr(bell, "ring", rung.append)
    sight = hub.Sight(tmp_path / "endpoints.json")
    both = [ZONE.pool[1], ZONE.pool[2]]
    now[one] = "203.0.113.1:5000"
    assert told() == [], "a restart of the hub's process is no news"
    now[two] = "203.0.113.2:5000"
    assert told() == both
    assert json.loads(sight.file.read_text()) == now
    assert told() == both, "again: the first may have come before the node told its own address"
    assert told() == []
    gone = now.pop(two)
    assert told() == []
    now[two] = gone
    assert told() == [], "the hub's interface was made again"
    now[two] = "203.0.113.3:5000"
    assert told() == both


def test_a_node_that_comes_over_tls_is_introduced_to_nobody(tmp_path: Path) -> None:
    """All such nodes have the hub's own address: each would be told to find the others at 127.0.0.1."""
    known = nodes(100, 100, 100)
    where = [f"127.0.0.1:{5000 + n}" for n in (0, 1)] + ["203.0.113.2:5000"]
    file = tmp_path / "endpoints.json"
    file.write_text(json.dumps({known[n].wireguard: where[n] for n in known}))
    seen, own = whereabouts.endpoints(file), {n: f"192.168.1.{n}:5000" for n in known}
    assert [introductions.peers(ZONE, known, n, seen, own) for n in known] == [[], [], []]
    assert whereabouts.read(file) == {}, "neither a documentation address nor loopback is a location"
    assert list(whereabouts.ways(file).values()) == ["tls", "tls", "udp"]


def test_a_way_over_tls_rings_nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each new relay would make a whole cluster ask; what is news is UDP from elsewhere."""
    three = cluster_of(2)
    one, two, _other = (peer.key for peer in three.peers)
    now = {one: "203.0.113.1:5000", two: "203.0.113.2:5000"}
    rung: list[list[IPv6Address]] = []

    def shown(*_words: str) -> bytes:
        return "".join(f"{key}\t{endpoint}\n" for key, endpoint in now.items()).encode()

    monkeypatch.setattr(hub, "_run", shown)
    monkeypatch.setattr(bell, "ring", rung.append)
    sight = hub.Sight(tmp_path / "endpoints.json")
    sight.tell(three)
    now[one] = "127.0.0.1:40000"
    sight.tell(three)
    assert json.loads(sight.file.read_text()) == now, "`onext edge list` shows it"
    now[one] = "203.0.113.1:5000"
    sight.tell(three)
    assert rung == [[], [], []]
