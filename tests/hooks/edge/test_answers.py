"""What a node is told: its own zone and cluster, which keys no longer count, and nothing of others."""

from __future__ import annotations

import base64
import contextlib
import json
from dataclasses import replace
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization.ssh import SSHCertificate, load_ssh_public_identity

from edge import messages
from edge.errors import WrongServer
from hooks.edge import answers, requests, secrets
from hooks.edge.records import Node, Server, State
from hooks.edge.secrets import Secrets
from onext.settings.edge import Edge
from tests.hooks.edge.front_end import Machine, ssh_key, wireguard_key
from tests.hooks.edge.test_introductions import ZONE

SETTINGS = Edge(mtu=1300, mtu_most=1400)
SERVERS = {
    1: Server("two", "two.example:8443", "2" * 64, "two.example:51820", wireguard_key()),
    0: Server("one", "one.example:8443", "1" * 64, "one.example:51820", wireguard_key()),
}
NODE = Node("edge-1", 100, State.ACTIVE, "5" * 64, wireguard_key(), ssh_key(), "s", 7, 8.0)


def others(**nodes: Node) -> dict[int, Node]:
    """Return the node and others, by their numbers."""
    return {3: NODE, **{int(number[1:]): node for number, node in nodes.items()}}


def test_a_node_learns_of_its_cluster_only() -> None:
    """A node would have another customer's nodes among its known hosts."""
    nodes = others(
        n0=replace(NODE, name="same", state=State.JOINING), n1=replace(NODE, name="far", cluster=101),
        n2=replace(NODE, name="gone", state=State.LEFT), n4=replace(NODE, name="going", state=State.LEAVING),
    )  # fmt: skip
    told = answers.state(ZONE, SERVERS, nodes, 3, SETTINGS)
    assert told["hosts"] == [["fd00::1:0", "same"], ["fd00::1:3", "edge-1"], ["fd00::1:4", "going"]]
    assert (told["address"], told["pool"], told["cluster"]) == ("fd00::1:3", "fd00::/64", 100)
    assert (told["mtu"], told["mtu_most"], told["session"]) == (1300, 1400, "s")


def test_hubs_and_servers_are_in_the_order_of_their_numbers() -> None:
    """Nodes would change their hub at each answer."""
    told = answers.state(ZONE, SERVERS, others(), 3, SETTINGS)
    hubs = told["hubs"]
    assert isinstance(hubs, list)
    assert [(hub["name"], hub["address"], hub["key"]) for hub in hubs] == [
        ("one", "fd00::1", SERVERS[0].hub_key),
        ("two", "fd00::2", SERVERS[1].hub_key),
    ]
    assert told["servers"] == [["one.example:8443", "1" * 64], ["two.example:8443", "2" * 64]]


def test_keys_that_no_longer_count(monkeypatch: pytest.MonkeyPatch) -> None:
    """A stolen machine could still be one of the cluster's nodes; of too many keys the newest matter."""
    old = ssh_key()
    moved = replace(NODE, revoked_keys=(old,))
    gone = [replace(NODE, state=state, ssh_key=ssh_key()) for state in (State.LEFT, State.REVOKED)]
    present = [replace(NODE, state=state) for state in (State.JOINING, State.ACTIVE, State.LEAVING)]
    keys = [old, gone[0].ssh_key, gone[1].ssh_key]
    assert answers.revoked([moved, *present, *gone]) == keys
    told = answers.state(ZONE, SERVERS, others(n4=moved, n5=replace(gone[0], name="edge-9")), 3, SETTINGS)
    assert told["revoked"] == keys[:2]
    assert told["revoked_hosts"] == [["edge-1", old]], "for names of the cluster's nodes"
    monkeypatch.setattr(answers, "MOST_REVOKED", 2)
    assert answers.revoked([moved, *gone]) == keys[1:]
    assert answers.revoked_hosts([moved, *gone], {"edge-1"}) == [["edge-1", key] for key in keys[1:]]


def test_a_node_is_told_a_bounded_number_of_neighbours(monkeypatch: pytest.MonkeyPatch) -> None:
    """A node refuses an answer that is too long: it would learn of no change any more."""
    monkeypatch.setattr(answers, "MOST_HOSTS", 2)
    nodes = others(n4=replace(NODE, name="a"), n5=replace(NODE, name="b"))
    assert answers.state(ZONE, SERVERS, nodes, 3, SETTINGS)["hosts"] == [
        ["fd00::1:3", "edge-1"],
        ["fd00::1:4", "a"],
    ]


def test_the_largest_answer_is_one_that_nodes_read(tmp_path: Path) -> None:
    """Nodes of a large cluster would refuse every answer, and learn of no revocation."""
    kept = Secrets(tmp_path)
    kept.create(secrets.ANSWER)
    row = replace(NODE, name="x" * 64, revoked_keys=(ssh_key(),))
    nodes = dict.fromkeys(range(90_000, 90_000 + answers.MOST_HOSTS + 5), row)
    told = answers.state(ZONE, SERVERS, nodes, 90_000, SETTINGS)
    assert [len(told[name]) for name in ("hosts", "revoked", "revoked_hosts")] == [4000] * 3  # type: ignore[arg-type]
    asked = Machine("edge-1").ask("sync", "s")
    assert len(answers.signed(kept, requests.read(asked.data), told)) < messages.LARGEST < 4 << 20


def test_an_answer_is_signed_for_its_request(tmp_path: Path) -> None:
    """The endpoint could give one node's answer to another."""
    kept = Secrets(tmp_path)
    kept.create(secrets.ANSWER)
    asked = Machine("edge-1").ask("sync", "s")
    data = answers.signed(kept, requests.read(asked.data), {"result": "ok", "x": 1})
    assert messages.opened(asked, kept.public(secrets.ANSWER), data) == {
        "result": "ok",
        "x": 1,
        "to": asked.digest,
    }
    assert json.loads(base64.b64decode(json.loads(data)["body"]))["to"] == asked.digest


def test_a_node_that_was_away_receives_an_answer_that_it_can_check(tmp_path: Path) -> None:
    """After a new key every node that was off meanwhile would have to join again; all others check by the new one."""
    kept = Secrets(tmp_path)
    kept.create(secrets.ANSWER)
    former = kept.public(secrets.ANSWER)

    def signer(knows: object) -> str:
        machine = Machine("edge-1")
        asked = messages.Asked(machine.secret, "sync", {"session": "s", "knows": knows})
        data = answers.signed(kept, requests.read(asked.data), {"result": "ok"})
        for name, key in (("former", former), ("new", kept.public(secrets.ANSWER))):
            with contextlib.suppress(WrongServer):
                messages.opened(asked, key, data)
                return name
        return "nobody"

    kept.keep_former(secrets.ANSWER, secrets.FORMER_ANSWER)
    kept.replace(secrets.ANSWER)
    new = kept.public(secrets.ANSWER)
    given = (former[:16], former, new[:16], "", "x" * 16, None, [former[:16]])
    assert [signer(one) for one in given] == ["former", "former", *["new"] * 5]
    kept.file(secrets.FORMER_ANSWER).unlink()
    assert signer(former[:16]) == "new", "the former key is not kept for ever"


def test_a_certificate_is_for_the_node_and_no_two_are_alike(tmp_path: Path) -> None:
    """A revocation by serial number would hit another node."""
    kept = Secrets(tmp_path)
    kept.create(secrets.HOST_CA)

    def made(number: int, now: float) -> SSHCertificate:
        found = load_ssh_public_identity(
            answers.certificate(kept, ZONE, number, NODE, now=now, days=9).encode()
        )
        assert isinstance(found, SSHCertificate)
        return found

    found = made(3, 1000.0)
    assert found.valid_principals == [b"edge-1", b"fd00::1:3"]
    assert found.serial == (3 << 32) + 1000
    assert made(0, 2.0**32 + 5).serial == 5
    assert made(3, 2.0**33 - 1).serial == (3 << 32) + 2**32 - 1
