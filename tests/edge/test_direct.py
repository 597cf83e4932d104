"""Direct peers: when a node sends to its neighbour without the hub, and when it returns to the hub."""

from __future__ import annotations

import socket
import time

import pytest

from edge import answer, bell, direct, overlay, programs
from tests.edge.test_program import KEY
from tests.waiting import PATIENCE

PEER = {"key": KEY, "endpoint": "203.0.113.7:5000", "address": "fd00::2"}
STATE = {"peers": [PEER], "node_ports": [[22, 22], [49152, 49215]]}


class Machine:
    """A WireGuard interface and a clock."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.ran: list[list[str]] = []
        self.inputs: list[str] = []
        self.allowed, self.handshake, self.received, self.known = "(none)", 0, 0, False
        self.now, self.table = 1000.0, False
        monkeypatch.setattr(programs, "run", self.run)
        monkeypatch.setattr(programs, "there", lambda _: True)
        monkeypatch.setattr(time, "monotonic", lambda: self.now)
        monkeypatch.setattr(time, "time", lambda: self.now)

    def run(self, argv: list[str], text: str = "") -> str:
        """Act as `wg` and `nft`."""
        if argv[1] == "show":
            line = f"{KEY}\t(none)\t203.0.113.7:5000\t{self.allowed}\t{self.handshake}\t{self.received}\t0\t5"
            return "interface\n" + (line + "\n" if self.known else "")
        if argv[:2] == ["nft", "list"]:
            return "table inet filter\n" + "table inet onext_edge_node\n" * self.table
        self.ran.append(argv)
        self.inputs.append(text)
        self.table = self.table or argv[0] == "nft"
        if "endpoint" in argv:
            self.known = True
        if "allowed-ips" in argv:
            self.allowed = argv[-1] or "(none)"
        if "remove" in argv:
            self.known, self.allowed = False, "(none)"
        return ""


def test_the_hub_carries_until_packets_arrive_and_again_when_they_stop(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """An address that is given to a peer which hears nothing is cut off: a migration in it hangs."""
    machine, said = Machine(monkeypatch), list[str]()
    followed = direct.Direct(said.append)
    for _ in range(3):
        machine.now += 2
        followed.step(STATE)
    assert (machine.known, machine.allowed) == (True, "(none)")
    machine.handshake, machine.received = int(machine.now), 92
    followed.step(STATE)
    machine.now, machine.received = machine.now + 2, 300
    followed.step(STATE)
    assert machine.allowed == "fd00::2/128"
    for _ in range(5):
        machine.now += 2
        followed.step(STATE)
    assert machine.allowed == "fd00::2/128", "ten seconds are two lost packets"
    machine.now += 4
    followed.step(STATE)
    assert machine.allowed == "(none)"
    assert said == ["fd00::2: reached directly", "fd00::2: reached through the hub"]
    followed.step({"peers": []})
    assert not machine.known


def test_one_way_only_is_no_way(monkeypatch: pytest.MonkeyPatch) -> None:
    """Handshakes that arrive and are never answered raise the counter too."""
    machine = Machine(monkeypatch)
    followed = direct.Direct(lambda _: None)
    for _ in range(10):
        machine.now, machine.received = machine.now + 2, machine.received + 148
        followed.step(STATE)
    assert machine.allowed == "(none)"


def test_the_rules_come_before_the_peer_and_are_the_hubs(monkeypatch: pytest.MonkeyPatch) -> None:
    """A neighbour that no hub filters would reach every service of the node."""
    machine = Machine(monkeypatch)
    followed = direct.Direct(lambda _: None)
    followed.step(STATE)
    assert [argv[0] for argv in machine.ran] == ["nft", "wg"]
    rules = machine.inputs[0]
    assert "elements = { fd00::2 }" in rules
    assert "th dport { 22, 49152-49215 } accept" in rules
    assert rules.index("dport") < rules.index("    drop")
    monkeypatch.setattr(programs, "there", lambda name: name != "nft")
    machine.ran.clear()
    direct.Direct(lambda _: None).step(STATE)
    remove = ["wg", "set", "onext-edge", "peer", KEY, "remove"]
    assert machine.ran == [remove], "without nft there are no direct peers"


def test_rules_that_another_program_flushes_are_made_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """After `systemctl restart nftables` a neighbour reached every service of the node, for good."""
    machine = Machine(monkeypatch)
    followed = direct.Direct(lambda _: None)
    followed.step(STATE)
    machine.ran.clear()
    followed.step(STATE)
    assert machine.ran == []
    machine.table = False
    followed.step(STATE)
    assert [argv[0] for argv in machine.ran] == ["nft"]


@pytest.mark.parametrize("peers", [[], [{**PEER, "key": "B" + KEY[1:]}]])
def test_a_peer_of_a_service_that_was_killed_is_dropped(
    monkeypatch: pytest.MonkeyPatch, peers: list[dict[str, str]]
) -> None:
    """A node that was revoked stayed a peer, and with the new rules one that nothing restricts."""
    machine = Machine(monkeypatch)
    machine.known, machine.allowed = True, "fd00::2/128"
    direct.Direct(lambda _: None).step({**STATE, "peers": peers})
    assert machine.ran[0] == ["wg", "set", "onext-edge", "peer", KEY, "remove"]
    machine.ran.clear()
    machine.known = True
    hubs = [{"key": KEY}]
    direct.Direct(lambda _: None).step({**STATE, "peers": peers, "hubs": hubs})
    assert not [argv for argv in machine.ran if "remove" in argv], "a hub is no direct peer"


def test_a_new_configuration_leaves_direct_peers_as_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    """A name that was added to the cluster interrupted all migrations between its nodes."""
    machine = Machine(monkeypatch)
    machine.known = True
    assert direct.sections(STATE, direct.dump()) == [
        "[Peer]",
        f"PublicKey = {KEY}",
        "PersistentKeepalive = 5",
    ]
    machine.allowed = "fd00::2/128"
    assert direct.sections(STATE, direct.dump())[-1] == "AllowedIPs = fd00::2/128"


@pytest.mark.parametrize(
    "change",
    [
        {"endpoint": "host.example:1"},
        {"endpoint": "1.2.3.4"},
        {"key": "x"},
        {"address": "fd01::1"},
        {"address": "x"},
    ],
)
def test_peers_are_checked_before_they_are_commands(change: dict[str, str]) -> None:
    """The answer is signed, but the values in it came from other nodes and the hub."""
    pool = overlay.pool("fd00::/64")
    assert answer._peer(PEER, pool) == PEER
    with pytest.raises(ValueError, match=r"."):
        answer._peer({**PEER, **change}, pool)


@pytest.mark.process
def test_only_a_hub_rings(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neighbours that can ring make a node ask the front-end as often as they like."""
    monkeypatch.setattr(bell, "PORT", 0)
    rung = bell.Bell()
    state = {"address": "::1", "hubs": [{"address": "fd00::1"}]}
    assert not rung.wait(0.01, state)
    assert rung._socket is not None
    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as sender:
        sender.sendto(b"look", rung._socket.getsockname())
        assert not rung.wait(0.2, state)
        state["hubs"] = [{"address": "::1"}]
        sender.sendto(b"look", rung._socket.getsockname())
        assert rung.wait(PATIENCE, state)
        sender.sendto(b"look", rung._socket.getsockname())
        assert not rung.wait(0.05, state), "once a second at most"
        assert rung.wait(PATIENCE, state), "the second of two revocations counts too"
    rung._socket.close()


@pytest.mark.parametrize(("silent", "allowed"), [(11, "fd00::2/128"), (12, "(none)")])
def test_how_long_a_peer_may_be_silent(monkeypatch: pytest.MonkeyPatch, silent: int, allowed: str) -> None:
    """Twelve seconds cover two lost packets; after a longer wait a migration stalls."""
    machine, followed = Machine(monkeypatch), direct.Direct(lambda _: None)
    followed.step(STATE)
    machine.handshake = int(machine.now)
    followed.step(STATE)
    machine.received = 92
    followed.step(STATE)
    assert machine.allowed == "fd00::2/128"
    machine.now += silent
    followed.step(STATE)
    assert machine.allowed == allowed


@pytest.mark.parametrize(("age", "allowed"), [(179, "fd00::2/128"), (180, "(none)")])
def test_a_session_that_is_too_old_carries_nothing(
    monkeypatch: pytest.MonkeyPatch, age: int, allowed: str
) -> None:
    """WireGuard drops packets of an expired session: unanswered handshakes raise the counter too."""
    machine, followed = Machine(monkeypatch), direct.Direct(lambda _: None)
    machine.handshake = int(machine.now) - age
    followed.step(STATE)
    followed.step(STATE)
    machine.received = 92
    followed.step(STATE)
    assert machine.allowed == allowed


def test_a_peer_that_moved_is_told_to_wireguard_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A neighbour at a new address would be reached through the hub for as long as both run."""
    machine, followed = Machine(monkeypatch), direct.Direct(lambda _: None)
    moved = {**STATE, "peers": [{**PEER, "endpoint": "203.0.113.9:6000"}]}
    for state in (STATE, STATE, moved, moved):
        followed.step(state)
    told = [argv[argv.index("endpoint") + 1 :] for argv in machine.ran if "endpoint" in argv]
    assert told == [
        [where, "persistent-keepalive", "5"] for where in ("203.0.113.7:5000", "203.0.113.9:6000")
    ]


def test_peers_as_wireguard_shows_them(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first line is the interface; a peer that is read wrongly is a way that is never used."""
    lines = [
        "private\tpublic\t51820\toff\tx\ty\tz\tw",
        f"{KEY}\t(none)\t203.0.113.7:5000\tfd00::2/128,10.0.0.0/8,10.77.0.9/32\t1700000000\t92\t148\t5",
        "short\t(none)\t203.0.113.7:5000\t(none)\t0\t0\t0",
        "",
    ]
    monkeypatch.setattr(programs, "run", lambda _argv: "\n".join(lines))
    assert direct.dump() == {
        KEY: direct.Seen({"fd00::2", "10.77.0.9"}, 1_700_000_000.0, 92, "203.0.113.7:5000")
    }


def test_rules_of_an_ipv4_overlay(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rules of the other family match nothing: every service of the node is open to its neighbours."""
    peers = [{**PEER, "address": f"10.77.0.{n}"} for n in (9, 8)]
    rules = direct.firewall(peers, [[22, 22]])
    assert "type ipv4_addr; elements = { 10.77.0.8, 10.77.0.9 }" in rules
    assert "ip saddr != @direct accept" in rules
    assert direct.firewall([], [[22, 22]]).splitlines() == [
        "table inet onext_edge_node",
        "delete table inet onext_edge_node",
    ]
    ran: list[list[str]] = []
    monkeypatch.setattr(programs, "run", ran.append)
    for there in (False, True):
        monkeypatch.setattr(programs, "there", lambda _name, there=there: there)
        direct.forget()
        assert ran == ([["nft", "delete", "table", "inet", "onext_edge_node"]] if there else [])


def test_a_node_without_direct_peers_asks_for_none(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each step would run `wg`, every few seconds, on machines with a small processor; and drop the hub's own peers."""
    machine, shown = Machine(monkeypatch), list[list[str]]()

    def run(argv: list[str], text: str = "") -> str:
        shown.append(argv)
        return machine.run(argv, text)

    followed = direct.Direct(lambda _: None)
    followed.step({"peers": []})
    monkeypatch.setattr(programs, "run", run)
    followed.step({"peers": []})
    assert shown == []
    machine.known = True  # a peer that another command made since
    followed.step({**STATE, "peers": [{**PEER, "key": "B" + KEY[1:]}]})
    assert machine.known
