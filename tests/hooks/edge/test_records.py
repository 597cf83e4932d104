"""Documents of the edge: read as they were written, by this release and by those before; anything else is invalid."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv6Network
from typing import Any

import pytest

from hooks.edge.addresses import most_nodes
from hooks.edge.admission import ALLOCATING, NO_HOST
from hooks.edge.records import (
    NODES,
    SERVERS,
    TOKENS,
    ZONES,
    Book,
    Node,
    Server,
    State,
    Token,
    View,
    Zone,
    host_name,
    whole,
)
from onext.oned.documents import Documents, Kind, Stored
from tests.hooks.edge.front_end import ssh_key, wireguard_key

POOL = IPv6Network("fd00::/64")
ZONE = Zone(POOL, "0" * 64, "1" * 64, ssh_key(), ssh_key())
SERVER = Server("front", "front.example:8443", "2" * 64, "[fd11::1]:51820", wireguard_key())
TOKEN = Token(100, "edge-*.example", 5.0, 6.0, 3, ("3" * 64, "4" * 64), True)
NODE = Node(
    "edge-1", 100, State.LEAVING, "5" * 64, wireguard_key(), ssh_key(), "s", 7, 8.0, 9, (ssh_key(), ssh_key())
)
RECORDS: list[tuple[Kind[Any], object]] = [(ZONES, ZONE), (SERVERS, SERVER), (TOKENS, TOKEN), (NODES, NODE)]


@pytest.mark.parametrize(("kind", "value"), RECORDS)
def test_a_record_is_read_as_it_was_written(kind: Kind[Any], value: object) -> None:
    """A token that is used up or revoked, or a node that was, would be what it was before."""
    assert kind.decode(kind.encode(value)) == value


def test_a_record_without_what_may_be_missing() -> None:
    """Documents of an earlier release have no such values."""
    token = {key: text for key, text in TOKENS.encode(TOKEN).items() if key not in ("USED", "REVOKED")}
    assert TOKENS.decode(token) == replace(TOKEN, used=(), revoked=False)
    assert not Token(100, "edge-1", 5.0, 6.0, 1).revoked
    assert TOKENS.decode(TOKENS.encode(replace(TOKEN, used=(), revoked=False))).used == ()
    node = {key: text for key, text in NODES.encode(NODE).items() if key != "REVOKED_KEYS"}
    assert NODES.decode(node) == replace(NODE, revoked_keys=())


def test_the_numbers_that_stand_for_no_host() -> None:
    """A worker of another release reads them: a host would be allocated twice, or never."""
    assert (NO_HOST, ALLOCATING) == (-1, -2)
    made = Node("edge-1", 100, State.JOINING, "5" * 64, wireguard_key(), ssh_key(), "s", 7, 8.0)
    assert made.host == NO_HOST
    for number in (NO_HOST, ALLOCATING, 0):
        assert NODES.decode(NODES.encode(replace(NODE, host=number))).host == number


BOUNDS: list[tuple[Kind[Any], object, str, tuple[int, ...], tuple[int, ...]]] = [
    (TOKENS, TOKEN, "CLUSTER", (0, 2**31), (-1, 2**31 + 1)),
    (TOKENS, TOKEN, "USES", (1, 200), (0, 201)),
    (TOKENS, TOKEN, "CREATED", (0, 10**11), (-1, 10**11 + 1)),
    (TOKENS, TOKEN, "EXPIRES", (0, 10**11), (-1, 10**11 + 1)),
    (NODES, NODE, "CLUSTER", (0, 2**31), (-1, 2**31 + 1)),
    (NODES, NODE, "TOKEN", (0, 10**9), (-1, 10**9 + 1)),
    (NODES, NODE, "HOST", (-2, 2**31), (-3, 2**31 + 1)),
    (NODES, NODE, "JOINED", (0, 10**11), (-1, 10**11 + 1)),
]


@pytest.mark.parametrize(("kind", "value", "name", "accepted", "refused"), BOUNDS)
def test_numbers_have_bounds(
    kind: Kind[Any], value: object, name: str, accepted: tuple[int, ...], refused: tuple[int, ...]
) -> None:
    """A document that a person wrote by hand would make a request fail half way."""
    values = kind.encode(value)
    for number in accepted:
        assert kind.encode(kind.decode({**values, name: str(number)})) == {**values, name: str(number)}
    for text in (*map(str, refused), "", "x", "1 2"):
        with pytest.raises(ValueError, match="is not a"):
            kind.decode({**values, name: text})


def test_keys_that_a_node_had_before_stay_revoked() -> None:
    """Only the newest hundred are kept: a document has a largest size."""
    many = tuple(ssh_key() for _ in range(101))
    assert NODES.decode(NODES.encode(replace(NODE, revoked_keys=many))).revoked_keys == many[1:]
    damaged = {**NODES.encode(NODE), "REVOKED_KEYS": "x"}
    with pytest.raises(ValueError, match="a key"):
        NODES.decode(damaged)


def test_names_of_hosts() -> None:
    """A name becomes a line of files, an option of ssh and a host of oned."""
    assert host_name("Edge-1.Example") == "edge-1.example"
    assert host_name("a" * 64) == "a" * 64
    assert host_name("10.0.0.1a") == "10.0.0.1a"
    for name in (
        "",
        "a" * 65,
        "-a",
        "a b",
        "a\nb",
        7,
        None,
        "10.0.0.1",
        "10",
        "1.2",
        "0x7f000001",
        "0177.0x1",
        "9" * 20,
    ):
        with pytest.raises(ValueError, match="a host name"):
            host_name(name)


def test_a_number_that_is_none_is_shown_in_few_words() -> None:
    """What a stranger wrote must not fill the log, nor rewrite a terminal."""
    assert whole("7", 7, 7) == 7
    with pytest.raises(ValueError, match=r"^'xxxxxxxxxxxxxxxxxxx…' is not a number from 1 to 2$"):
        whole("x" * 300, 1, 2)
    with pytest.raises(ValueError, match=r"^'xxxxxxxxxxxxxxxxxxx…' is not a time$"):
        TOKENS.decode({**TOKENS.encode(TOKEN), "CREATED": "x" * 300})
    assert len(SERVERS.decode({**SERVERS.encode(SERVER), "SERVER": "x" * 200}).name) == 128
    assert len(NODES.decode({**NODES.encode(NODE), "SESSION": "x" * 200}).session) == 64


def test_which_nodes_may_use_the_tunnel() -> None:
    """A node that left or was revoked must be out, and one that drains must not lose its VMs' way."""
    assert {state for state in State if state.peer} == {State.JOINING, State.ACTIVE, State.LEAVING}


def stored(number: int, value: Node | None) -> Stored[Node]:
    """Return a record of a node."""
    return Stored(number, number, 1, value, "" if value else "unreadable")


def test_a_number_is_given_once() -> None:
    """The next node would have the address, and so the open connections, of another."""
    seen = View({}, {}, {}, {})
    assert seen.free(POOL) == 0
    seen.nodes.update({0: stored(0, NODE)})
    assert seen.free(POOL) == 1
    seen.nodes.update({4: stored(4, None)})
    assert seen.free(POOL) == 5, "a record that cannot be read keeps its number"
    assert list(seen.valid) == [0]
    most = most_nodes(POOL)
    seen.nodes.update({most: stored(most, NODE)})
    assert seen.free(POOL) == 5, "one beyond the pool uses no number up"
    seen.nodes.update({most - 1: stored(most - 1, NODE)})
    assert seen.free(POOL) == most


def test_records_beyond_the_pool_are_invalid(monkeypatch: pytest.MonkeyPatch) -> None:
    """One document that a person wrote by hand would keep all nodes' changes from the hub."""
    small = replace(ZONE, pool=IPv6Network("fd00::/64"))
    given: dict[str, dict[int, object]] = {
        "edgezone": {0: small},
        "edgeserver": {0: SERVER, 65_534: SERVER, 65_535: SERVER},
        "edgetoken": {10**8: TOKEN},
        "edgenode": {0: NODE, 10**8 - 1: NODE, 10**8: NODE},
    }

    def found(self: Documents[object], _pool: object = None) -> dict[int, Stored[object]]:
        return {number: Stored(number, number, 1, value) for number, value in given[self.kind.name].items()}

    monkeypatch.setattr(Documents, "all", found)
    monkeypatch.setattr("hooks.edge.records.read", lambda _oned: None)
    view = Book.of(None).view()  # type: ignore[arg-type]
    assert (list(view.valid), list(view.front_ends)) == ([0, 10**8 - 1], [0, 65_534])
    assert view.nodes[10**8].problem == "pool fd00::/64 has no address for number 100000000"
    assert view.servers[65_535].value is None
    assert view.tokens[10**8].value == TOKEN
    given["edgezone"] = {}
    assert len(Book.of(None).view().valid) == 3, "before `onext edge init` nothing has an address"  # type: ignore[arg-type]
