"""What `onext edge init` finds, creates and brings, with records and servers that the test plays."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from edge import overlay
from hooks.edge import public_certificate, secrets, setup
from hooks.edge.records import Book, Server, Zone
from hooks.edge.secrets import Secrets
from hooks.edge.setup import SetupError
from onext import process
from onext import zone as servers
from onext.oned.documents import Stored
from onext.part import Context
from onext.paths import Paths
from onext.settings.edge import Edge
from tests.hooks.edge.front_end import ssh_key
from tests.hooks.edge.test_office_steps import Records

POOL = overlay.pool("fd00::/64")


class Front:
    """A server before `init`."""

    def __init__(self, folder: Path, patch: pytest.MonkeyPatch) -> None:
        self.written = list[str]()
        self.paths, self.settings = (
            Paths.self_contained(folder),
            Edge(endpoint="front:8443", hub="front:51820"),
        )
        self.records = [Records(self.written) for _ in range(4)]
        self.zones, self.servers, *_ = self.records
        self.number, self.routes = 0, ""
        self.found = [
            SimpleNamespace(name="one", host="one.example", id=0, here=True),
            SimpleNamespace(name="two", host="two.example", id=1, here=False),
        ]
        self.sent: object = SimpleNamespace(done=True, text="")
        oned = SimpleNamespace(raft=lambda: SimpleNamespace(server_id=self.number), document=lambda _: None)
        book = Book(cast("Any", oned), *cast("Any", self.records))
        patch.setattr(Book, "of", classmethod(lambda _cls, _oned: book))
        patch.setattr(public_certificate, "digest", lambda _paths: "d" * 64)
        patch.setattr(process, "run", self._run)
        patch.setattr(servers, "servers", lambda *_: self.found)
        patch.setattr(servers, "others", lambda *_: [one for one in self.found if not one.here])
        patch.setattr(servers, "ask", lambda *words: self.sent if words[2] == ["edge", "keys"] else None)
        self.options = SimpleNamespace(edge=self.settings)
        made = SimpleNamespace(settings=self.options, paths=self.paths, oned=oned)
        self.context = cast("Context", made)
        self.kept = Secrets.of(self.paths)

    def _run(self, words: list[str], *, timeout: float) -> SimpleNamespace:
        assert (words[2:], timeout) == (["route", "show"], 15.0)
        return SimpleNamespace(stdout=self.routes.encode())

    def init(self, pool: overlay.Pool | None = None) -> setup.Plan:
        """Initialise."""
        planned = setup.plan(self.context, pool)
        setup.carry_out(self.context, planned)
        return planned

    def zone(self) -> Zone:
        """Return the zone's record."""
        value = self.zones.found[0].value
        assert isinstance(value, Zone)
        return value


@pytest.fixture
def front(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Front:
    """Return a server before `init`."""
    return Front(tmp_path, monkeypatch)


def test_a_zone_is_made_once(front: Front) -> None:
    """A second run would make keys that no node trusts."""
    planned = front.init(POOL)
    assert planned.lines() == [
        *(f"create key {name}" for name in (*secrets.ZONE, secrets.HUB)),
        "record the zone: pool fd00::/64, addresses for 100000000 nodes",
        "record this server: endpoint front:8443, hub front:51820",
    ]
    assert front.zone().pool == POOL
    assert front.zone().host_ca == front.kept.public(secrets.HOST_CA)
    hub_key = front.kept.public(secrets.HUB)
    assert front.servers.found[0].value == Server("one", "front:8443", "d" * 64, "front:51820", hub_key)
    front.written.clear()
    again = front.init(POOL)
    assert (again.lines(), front.written) == ([], [])
    assert setup.plan(front.context, None).pool == POOL


def test_a_server_that_moved_is_recorded_anew(front: Front) -> None:
    """Tokens would name the place where it was."""
    front.init(POOL)
    front.options.edge = Edge(endpoint="new:8443", hub="front:51820")
    front.written.clear()
    planned = front.init()
    assert planned.lines() == ["record this server: endpoint new:8443, hub front:51820"]
    assert (front.written, front.servers.found[0].version) == (["Server"], 2)


@pytest.mark.parametrize(("number", "place"), [(-1, 0), (0, 0), (3, 3)])
def test_each_server_has_a_record(front: Front, number: int, place: int) -> None:
    """A second server would take the first one's place, and its nodes with it."""
    front.number = number
    front.init(POOL)
    assert list(front.servers.found) == [place]
    front.found = []
    assert setup.plan(front.context, None).entry.name == "front-end"


def test_without_a_pool_one_is_drawn(front: Front) -> None:
    """Most people have no plan of addresses."""
    assert overlay.pool(str(setup.plan(front.context, None).pool)).version == 6


@pytest.mark.parametrize("where", ["", "front", "front:0", "front:65536", "a b:1", ":1"])
def test_where_nodes_reach_this_server_is_set_first(front: Front, where: str) -> None:
    """Nobody could join by the tokens that are made."""
    for fine in ("front:1", "front:65535"):
        front.options.edge = Edge(endpoint=fine, hub=fine)
        assert setup.plan(front.context, POOL)
    for name in ("endpoint", "hub"):
        settings = {"endpoint": "front:8443", "hub": "front:51820", name: where}
        front.options.edge = Edge.model_validate(settings)
        with pytest.raises(SetupError, match=f"set `edge: {name}:`"):
            setup.plan(front.context, POOL)


def test_what_is_there_is_not_overwritten(front: Front) -> None:
    """Every node would be locked out."""
    front.init(POOL)
    with pytest.raises(SetupError, match="cannot be changed"):
        setup.plan(front.context, overlay.pool("10.77.0.0/16"))
    for name in (secrets.TOKEN, secrets.ANSWER, secrets.USER_CA, secrets.HOST_CA):
        before = front.kept.read(name)
        front.kept.file(name).unlink()
        with pytest.raises(SetupError, match=f"lacks {name}"):
            setup.plan(front.context, None)
        front.kept.create(name)
        with pytest.raises(SetupError, match="other keys than the zone's record"):
            setup.plan(front.context, None)
        front.kept.replace(name, before)
    front.kept.file(secrets.HUB).unlink()
    assert setup.plan(front.context, None).keys == (secrets.HUB,), "its own, which others do not have"
    front.zones.found[0] = Stored(0, 0, 1, None, "damaged")
    with pytest.raises(SetupError, match="damaged"):
        setup.plan(front.context, None)


def test_a_pool_must_fit(front: Front) -> None:
    """This server would have no address, or lose its own network."""
    front.number = 15
    with pytest.raises(SetupError, match="none for 15"):
        setup.plan(front.context, overlay.pool("10.77.0.0/24"))
    front.number, front.routes = 0, "10.77.0.0/24 dev eth7 scope link\n"
    with pytest.raises(SetupError, match=r"10\.77\.0\.0/24 by eth7"):
        setup.plan(front.context, overlay.pool("10.77.0.0/16"))
    front.routes = "10.77.0.0/16 dev onext-edge scope link\n"
    assert setup.plan(front.context, overlay.pool("10.77.0.0/16"))


def test_another_server_is_found_by_any_of_its_names(front: Front) -> None:
    """A person types the one that is known; this server itself has nothing to bring."""
    for name in ("two", "two.example", "1"):
        assert setup.source(front.context, name).name == "two"
    for name in ("one", "0", ""):
        with pytest.raises(SetupError, match="there are: two"):
            setup.source(front.context, name)
    front.found = []
    with pytest.raises(SetupError, match="there are: none"):
        setup.source(front.context, "two")


def keys(front: Front, **changes: object) -> str:
    """Return what another server sends."""
    other = Secrets(front.paths.var / "other")
    for name in secrets.ZONE:
        if not other.file(name).exists():
            other.create(name)
    return json.dumps({**other.exported(), **changes})


def test_keys_of_another_server_are_brought(front: Front) -> None:
    """A second server would sign with keys that no node trusts."""
    sent = keys(front)
    front.sent = SimpleNamespace(done=True, text=sent)
    setup.bring(front.context, cast("servers.Server", front.found[1]))
    assert {name: front.kept.read(name).decode() for name in secrets.ZONE} == json.loads(sent)
    assert not front.kept.file(secrets.HUB).exists()
    front.sent = SimpleNamespace(done=True, text=keys(front, **{secrets.USER: "another"}))
    setup.bring(front.context, cast("servers.Server", front.found[1]))
    assert front.kept.read(secrets.USER).decode() == json.loads(sent)[secrets.USER], "what is here stays"


@pytest.mark.parametrize("text", ["", "[]", "{}", "not json", '{"token.key": "x"}'])
def test_a_server_that_sends_no_keys(front: Front, text: str) -> None:
    """Half of the keys would be worse than none."""
    answers = [SimpleNamespace(done=True, text=text), SimpleNamespace(done=False, text=keys(front))]
    answers.append(SimpleNamespace(done=True, text=keys(front, more="x")))
    for front.sent in answers:
        with pytest.raises(SetupError, match="two sent no keys"):
            setup.bring(front.context, cast("servers.Server", front.found[1]))
    assert front.kept.present() == []


@pytest.mark.parametrize(
    ("name", "field"),
    [
        (secrets.TOKEN, "token_key"),
        (secrets.USER_CA, "user_ca"),
        (secrets.HOST_CA, "host_ca"),
        (secrets.USER, "revoked_users"),
    ],
)
def test_a_key_that_was_replaced_on_the_other_server_is_brought(front: Front, name: str, field: str) -> None:
    """This server would continue with a key that nodes refuse; its other keys stay."""
    front.init(POOL)
    before, sent = front.kept.exported(), keys(front)
    front.sent = SimpleNamespace(done=True, text=sent)
    setup.bring(front.context, cast("servers.Server", front.found[1]))
    assert front.kept.exported() == before, "nothing was replaced"
    values: dict[str, Any] = {
        "token_key": "0" * 64, "user_ca": ssh_key(), "host_ca": ssh_key(),
        "revoked_users": (front.kept.public(secrets.USER),),
    }  # fmt: skip
    front.zones.found[0] = Stored(0, 0, 2, Zone(**{**vars(front.zone()), field: values[field]}))
    setup.bring(front.context, cast("servers.Server", front.found[1]))
    assert front.kept.exported() == {**before, name: json.loads(sent)[name]}


def test_oneadmins_key_is_brought_while_it_is_replaced(front: Front) -> None:
    """Nodes accept both for a time: afterwards this server could not log in."""
    front.init(POOL)
    before = front.kept.exported()
    sent = keys(front, **{secrets.FORMER_USER: before[secrets.USER]})
    front.sent = SimpleNamespace(done=True, text=sent)
    setup.bring(front.context, cast("servers.Server", front.found[1]))
    assert front.kept.exported() == {**before, secrets.USER: json.loads(sent)[secrets.USER]}
