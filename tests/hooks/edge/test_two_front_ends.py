"""Two front-ends of one zone: the second takes part by `init --from`, and leads when the first one is gone."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from edge import messages
from edge.errors import Refused
from hooks.edge import endpoint, requests, secrets, setup
from hooks.edge.commands import edge
from hooks.edge.hub_list import place
from hooks.edge.office import NotReady, Office
from hooks.edge.secrets import Secrets
from onext import zone
from onext.oned.client import Oned, Raft, RaftState
from onext.part import Context
from onext.paths import Paths
from onext.settings import Settings
from onext.settings.edge import Edge
from tests.hooks.edge.front_end import FrontEnd, Machine

pytestmark = pytest.mark.process


class Server(Oned):
    """Oned of one server of the zone, with the state that the test gives it."""

    number, state = 0, RaftState.LEADER

    def raft(self) -> Raft:
        """Return its state."""
        return Raft(self.number, self.state, 2)


class Second:
    """The other server: its own files and keys, the same documents."""

    def __init__(self, first: FrontEnd, folder: Path) -> None:
        self.paths = Paths.self_contained(folder)
        published = self.paths.run / "edge-endpoint"
        published.mkdir(parents=True)
        endpoint.make_certificate(published)[1].rename(published / "certificate.pem")
        given = Edge(
            enabled=True,
            endpoint="second.example:8443",
            hub="second.example:51820",
            im_mad="dummy",
            vm_mad="dummy",
        )
        self.context = Context(self.paths, Settings(edge=given))
        self.oned = server(first, 1, RaftState.FOLLOWER)
        self.context.__dict__["oned"] = self.oned
        self.office = Office(lambda: self.context)

    def onext(self, *words: str, check: bool = True) -> str:
        """Run `onext edge …` on it."""
        done = CliRunner().invoke(edge, words, obj=self.context)
        assert not check or done.exit_code == 0, done.output
        return done.output

    def answer(self, asked: messages.Asked, key: str) -> dict[str, Any]:
        """Send a request to it."""
        return messages.opened(asked, key, self.office.handle(requests.read(asked.data)))

    def peers(self) -> set[str]:
        """Return the keys that its hub lets in."""
        return {peer["key"] for peer in json.loads(place(self.paths).read_text())["peers"]}


def server(first: FrontEnd, number: int, state: RaftState) -> Server:
    """Return oned as one server sees it."""
    made = Server(first.sandbox.endpoint, first.sandbox.session, 60)
    made.number, made.state = number, state
    return made


@pytest.fixture
def second(front_end: FrontEnd, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Second:
    """Return a second server, which reaches the first one by ssh."""
    made = Second(front_end, tmp_path / "second")
    first = front_end.context.__dict__["oned"] = server(front_end, 0, RaftState.LEADER)
    known = {front_end.paths: first, made.paths: made.oned}
    monkeypatch.setattr(Oned, "connect", lambda paths, *_: known[paths])
    there = zone.Server(0, "first", "first.example", here=False)
    monkeypatch.setattr(zone, "others", lambda *_: [there])
    monkeypatch.setattr(zone, "servers", lambda *_: [])

    def ask(asked: zone.Server, _paths: Paths, words: list[str], **_: object) -> zone.Answer:
        assert words[0] == "edge"
        return zone.Answer(asked, True, front_end.onext(*words[1:]))

    monkeypatch.setattr(zone, "ask", ask)
    return made


def test_a_second_server_takes_part_and_takes_over(front_end: FrontEnd, key: str, second: Second) -> None:
    """The loss of one server would cut off all sites, and a person would have to visit every node."""
    machine, token = Machine("edge-1"), front_end.token("--name", "edge-1")
    front_end.join(machine, token)
    host = front_end.answer(machine.ask("ready"), key)["host"]
    assert "lacks" in second.onext("init", check=False), "it must not make other keys of the zone"
    second.onext("init", "--from", "first")
    here, there = Secrets.of(second.paths), Secrets.of(front_end.paths)
    assert all(here.read(name) == there.read(name) for name in secrets.ZONE)
    assert here.public(secrets.HUB) != there.public(secrets.HUB)
    told = front_end.answer(machine.ask("sync"), key)
    assert [hub["endpoint"] for hub in told["hubs"]] == ["front.example:51820", "second.example:51820"]
    assert len({hub["address"] for hub in told["hubs"]}) == 2
    assert second.peers() == {machine.wireguard}, "its tunnel is up before it leads"
    with pytest.raises(NotReady, match="does not lead"):
        second.answer(machine.ask("sync"), key)
    front_end.context.oned.state, second.oned.state = RaftState.FOLLOWER, RaftState.LEADER  # type: ignore[attr-defined]
    with pytest.raises(NotReady, match="does not lead"):
        front_end.answer(machine.ask("sync"), key)
    assert second.answer(machine.ask("sync"), key)["host"] == host, "one host under either leader"
    other = Machine("edge-2")
    fresh = second.onext("token", "--cluster", str(front_end.clusters[0]), "--name", "edge-2").strip()
    got = second.answer(other.join(fresh), key)
    other.session = str(got["session"])
    assert second.answer(other.ask("ready"), key)["host"] not in (-1, host)


def test_a_node_revoked_on_one_server_is_refused_by_both(
    front_end: FrontEnd, key: str, second: Second
) -> None:
    """The other server's hub would admit a revoked node."""
    machine = Machine("edge-1")
    front_end.join(machine, front_end.token())
    second.onext("init", "--from", "first")
    front_end.context.oned.state, second.oned.state = RaftState.FOLLOWER, RaftState.LEADER  # type: ignore[attr-defined]
    second.onext("revoke", "edge-1")
    assert second.peers() == set()
    assert front_end.hub()["peers"] == [], "told by ssh, at once"
    with pytest.raises(Refused, match="revoked"):
        second.answer(machine.ask("sync"), key)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"token.key": "x"}', "not json"])
def test_a_server_that_sends_no_keys(second: Second, monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    """An incomplete set of keys would begin a second zone."""
    answered: Callable[..., zone.Answer] = lambda asked, *_: zone.Answer(asked, True, text)  # noqa: E731
    monkeypatch.setattr(zone, "ask", answered)
    with pytest.raises(setup.SetupError, match="sent no keys"):
        setup.bring(second.context, setup.source(second.context, "first"))
    assert Secrets.of(second.paths).present() == []
    with pytest.raises(setup.SetupError, match="no other server third"):
        setup.source(second.context, "third")
