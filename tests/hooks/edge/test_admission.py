"""Who may join, decided from records alone: each reason to refuse, and what an accepted join records."""

from __future__ import annotations

from dataclasses import replace

import pytest

from hooks.edge.admission import Admission, Refused, admit
from hooks.edge.records import Node, State, Token
from hooks.edge.requests import Join
from tests.hooks.edge.front_end import ssh_key, wireguard_key

NOW = 1000.0
ME, OTHER = "a" * 64, "b" * 64
TOKEN = Token(100, "edge-*", created=500.0, expires=NOW, uses=1)
JOIN = Join("token", "edge-1", wireguard_key(), ssh_key())
NODE = Node("edge-1", 100, State.ACTIVE, ME, JOIN.wireguard, JOIN.ssh_key, "before", 7, 400.0, host=3)
NEIGHBOUR = replace(NODE, name="edge-9", identity=OTHER, wireguard=wireguard_key(), ssh_key=ssh_key())


def decide(
    join: Join = JOIN,
    token: Token = TOKEN,
    nodes: dict[int, Node] | None = None,
    taken: tuple[str, ...] = (),
    free: int = 4,
    now: float = NOW,
) -> Admission:
    """Return the decision on a join with token 8."""
    given = nodes or {}
    hosts, reserved = {"kvm-1": 0}, {"front"}
    return admit(
        join,
        ME,
        (8, token),
        given,
        taken,
        hosts,
        reserved=reserved,
        free=free,
        most=5,
        now=now,
        session="fresh",
    )


def test_a_new_node_is_recorded_as_it_stated_itself() -> None:
    """A token that stays unused lets a second machine in; another's cluster would be open to this node."""
    made = Node(
        "edge-1", 100, State.JOINING, ME, JOIN.wireguard, JOIN.ssh_key, "fresh", 8, NOW, certified=NOW
    )
    expected = Admission(4, replace(TOKEN, used=(ME,)), made, repeated=False)
    assert decide(nodes={2: NEIGHBOUR}) == expected
    again = replace(TOKEN, used=(ME,))
    assert decide(token=again).token == again, "an interrupted join uses the token once"


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"revoked": True}, "was revoked"), ({"expires": NOW - 1}, "has expired"),
        ({"pattern": "edge-2"}, "hosts named edge-2"), ({"pattern": "EDGE-1"}, "hosts named EDGE-1"),
        ({"used": (OTHER,)}, "used 1 of 1 times"), ({"used": (OTHER, "c" * 64)}, "used 2 of 1 times"),
    ],
)  # fmt: skip
def test_a_token_that_allows_no_join(changes: dict[str, object], reason: str) -> None:
    """A token that was used up, withdrawn, or made for others would be an open door."""
    assert decide().number == 4
    with pytest.raises(Refused, match=reason):
        decide(token=replace(TOKEN, **changes))  # type: ignore[arg-type]


def test_the_next_attempt_completes_a_join() -> None:
    """A node whose answer was lost would be refused for good, or get a second address."""
    used = replace(TOKEN, used=(ME,))
    for state in (State.JOINING, State.ACTIVE, State.LEAVING):
        known = replace(NODE, state=state)
        nodes = {0: NEIGHBOUR, 2: known}
        assert decide(token=used, nodes=nodes) == Admission(2, used, known, repeated=True)
    for state in (State.LEFT, State.REVOKED):
        with pytest.raises(Refused, match="leave --force"):
            decide(token=used, nodes={2: replace(NODE, state=state)})
    for other in (
        replace(JOIN, name="edge-2"),
        replace(JOIN, wireguard=wireguard_key()),
        replace(JOIN, ssh_key=ssh_key()),
    ):
        with pytest.raises(Refused, match="another name or other keys"):
            decide(other, used, {2: NODE})


def test_a_token_for_another_cluster_does_not_move_a_node() -> None:
    """It was admitted where it was, and its administrator believed that it had moved."""
    with pytest.raises(Refused, match="is in cluster 100, the token is for 101: leave first"):
        decide(token=replace(TOKEN, cluster=101), nodes={2: NODE})


def test_a_host_key_is_taken_again_by_its_own_name_only() -> None:
    """A machine that left would need a new host key, which all who know it would be asked about."""
    old = replace(NODE, identity=OTHER, wireguard=wireguard_key())
    assert decide(nodes={2: replace(old, state=State.LEFT)}).node.ssh_key == JOIN.ssh_key
    found = decide(token=EXACT, nodes={2: replace(old, joined=499.0, revoked_keys=("older",))})
    assert found.node.revoked_keys == ("older",), "the key that it has now stays valid"
    for other in (replace(old, state=State.REVOKED), replace(old, state=State.LEFT, name="edge-2")):
        with pytest.raises(Refused, match="ssh-keygen -A"):
            decide(nodes={2: other})


@pytest.mark.parametrize("state", State)
def test_keys_of_another_node_are_refused_whatever_became_of_it(state: State) -> None:
    """A peer of WireGuard is its key: the other node would be cut off, or a revoked key be let in again."""
    known = replace(NEIGHBOUR, state=state)
    for other in (
        replace(known, wireguard=JOIN.wireguard),
        replace(known, ssh_key=JOIN.ssh_key),
        replace(known, revoked_keys=(ssh_key(), JOIN.ssh_key)),
        replace(known, revoked_keys=(ME,)),
    ):
        with pytest.raises(Refused, match="belongs to another node"):
            decide(nodes={2: other})
    for key in (ME, JOIN.wireguard, JOIN.ssh_key):
        with pytest.raises(Refused, match="belongs to another node"):
            decide(taken=("x", key))


def test_a_host_that_did_not_join_keeps_its_name() -> None:
    """A node would take over a hypervisor of the data centre."""
    with pytest.raises(Refused, match="did not join by a token"):
        decide(replace(JOIN, name="kvm-1"), replace(TOKEN, pattern="*"))


def test_names_of_other_machines_are_refused() -> None:
    """The cluster's nodes would dial the liar for a hub, and oneadmin's ssh would log in to it."""
    anybody = replace(TOKEN, pattern="*")
    for name in (
        "front",
        "localhost",
        "localhost6.localdomain4",
        "a.localhost",
        "ip6-loopback",
        "broadcasthost",
    ):
        with pytest.raises(Refused, match=f"no node can be named {name}"):
            decide(replace(JOIN, name=name), anybody)
    for name in ("front-2", "localhosts", "ip6", "my-localhost"):
        assert decide(replace(JOIN, name=name), anybody).node.name == name


def test_a_pool_without_a_free_number() -> None:
    """A number beyond the pool has no address: the hub would refuse its whole list."""
    with pytest.raises(Refused, match="used up: all 5 addresses"):
        decide(free=5)
    with pytest.raises(Refused, match="used up"):
        decide(free=6)


OLD = replace(
    NODE, identity=OTHER, wireguard=wireguard_key(), ssh_key=ssh_key(), revoked_keys=("older",), joined=499.0
)
EXACT = replace(TOKEN, pattern="edge-1")


def test_a_machine_that_is_installed_anew_takes_its_own_place() -> None:
    """Its VMs and its history belong to the host's id; the keys of the old installation must stay out."""
    for state in (State.JOINING, State.ACTIVE, State.LEAVING):
        found = decide(token=EXACT, nodes={1: NEIGHBOUR, 2: replace(OLD, state=state)}, free=5)
        assert (found.number, found.repeated, found.replaces) == (2, False, OLD.ssh_key)
        assert (found.node.host, found.node.state, found.node.session) == (3, State.JOINING, "fresh")
        assert found.node.revoked_keys == ("older", OLD.ssh_key)
        assert found.token.used == (ME,)
    for state in (State.LEFT, State.REVOKED):
        assert decide(token=EXACT, nodes={2: replace(OLD, state=state)}).number == 4, "its name is free"


@pytest.mark.parametrize(
    ("token", "node"),
    [
        (replace(EXACT, pattern="edge-*"), OLD), (EXACT, replace(OLD, cluster=101)),
        (EXACT, replace(OLD, joined=500.0)), (EXACT, replace(OLD, joined=501.0)),
    ],
)  # fmt: skip
def test_only_a_token_made_for_it_replaces_a_node(token: Token, node: Node) -> None:
    """An old token in a mail, or one for many nodes, would take a node's place and receive its VMs."""
    assert decide(token=EXACT, nodes={2: OLD}).number == 2
    with pytest.raises(Refused, match=f"--name edge-1 --cluster {node.cluster}"):
        decide(token=token, nodes={2: node})
