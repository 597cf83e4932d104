"""`onext edge rotate`: a leaked key becomes useless, and oneadmin keeps access to all nodes."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

import pytest

from edge import messages
from edge.errors import Refused, WrongServer
from hooks.edge import certificates, part, rotation, secrets
from hooks.edge.office import NotReady, publish
from hooks.edge.records import Book, Zone
from hooks.edge.secrets import Secrets
from onext import zone
from onext.oned.client import Oned, RaftState
from onext.paths import Paths
from tests.hooks.edge.front_end import FrontEnd, Machine
from tests.hooks.edge.test_two_front_ends import Second, server

pytestmark = pytest.mark.process


class Killed(BaseException):
    """The process ends here."""


def recorded(front_end: FrontEnd) -> Zone:
    """Return the zone's record."""
    found = Book.of(front_end.context.oned).zones.all()[0].value
    assert found is not None
    return found


def rotate_killed_at(front_end: FrontEnd, name: str, where: str) -> None:
    """Begin a rotation whose process is killed at a call."""

    def kill(*_: object, **__: object) -> None:
        raise Killed

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(where, kill)
        with pytest.raises(Killed):
            rotation.rotate(front_end.context, name)


def test_former_join_tokens_are_worthless(front_end: FrontEnd, key: str) -> None:
    """Whoever copied the key of tokens could add machines for good."""
    machine, before = Machine("edge-1"), front_end.token("--uses", "2", "--name", "*")
    front_end.join(machine, before)
    assert "would rotate token: another key signs join tokens" in front_end.onext(
        "rotate", "token", "--dry-run"
    )
    front_end.join(Machine("edge-2"), before)
    stolen = front_end.token()
    assert "are worthless" in front_end.onext("rotate", "token")
    with pytest.raises(Refused):
        front_end.join(Machine("edge-3"), stolen)
    assert front_end.answer(machine.ask("sync"), key)["name"] == "edge-1", "nodes that joined stay"
    assert "revoked" in front_end.onext("list", "--tokens")
    assert front_end.join(Machine("edge-3"), front_end.token())["name"] == "edge-3"


def test_a_rotation_of_the_token_key_that_was_interrupted(front_end: FrontEnd) -> None:
    """Between key and record no token would be valid, for good."""
    kept = Secrets.of(front_end.paths)
    rotate_killed_at(front_end, "token", "onext.oned.documents.Documents.put")
    new = kept.public(secrets.TOKEN)
    assert new != recorded(front_end).token_key
    rotation.rotate(front_end.context, "token")
    assert kept.public(secrets.TOKEN) == new == recorded(front_end).token_key


def test_oneadmins_former_key_is_revoked_on_nodes(front_end: FrontEnd, key: str) -> None:
    """A copy of the key that the agent holds would open every node until its certificate expires."""
    kept, machine = Secrets.of(front_end.paths), Machine("edge-1")
    front_end.join(machine, front_end.token())
    former = kept.public(secrets.USER)
    certificate = kept.file("user_key-cert.pub").read_text()
    assert former not in front_end.answer(machine.ask("sync"), key)["revoked"]
    front_end.onext("rotate", "user")
    assert kept.public(secrets.USER) != former
    assert kept.file("user_key-cert.pub").read_text() != certificate
    assert not kept.file(secrets.FORMER_USER).exists()
    told = front_end.answer(machine.ask("sync"), key)
    assert former in told["revoked"]
    assert kept.public(secrets.USER) not in told["revoked"]


@pytest.mark.parametrize(
    "where",
    [
        "hooks.edge.secrets.Secrets.replace",
        "pathlib.Path.replace",
        "hooks.edge.rotation.publish",
        "onext.oned.documents.Documents.put",
        "hooks.edge.rotation.zone_of",
    ],
)
def test_a_rotation_of_oneadmins_key_that_was_interrupted(front_end: FrontEnd, where: str) -> None:
    """The next attempt must revoke the former key, never the one in use."""
    kept = Secrets.of(front_end.paths)
    former = kept.public(secrets.USER)
    rotate_killed_at(front_end, "user", where)
    rotation.rotate(front_end.context, "user")
    assert recorded(front_end).revoked_users == (former,)
    assert kept.public(secrets.USER) != former
    assert not kept.file(secrets.FORMER_USER).exists()
    assert sorted(path.name for path in kept.folder.iterdir() if path.suffix == ".new") == []


def test_another_key_of_the_hub(front_end: FrontEnd, key: str) -> None:
    """Nodes learn it by their next question; an interrupted rotation is completed."""
    kept, machine = Secrets.of(front_end.paths), Machine("edge-1")
    front_end.join(machine, front_end.token())
    former = kept.public(secrets.HUB)
    rotate_killed_at(front_end, "hub", "hooks.edge.setup.carry_out")
    new = kept.public(secrets.HUB)
    assert "reconnect" in front_end.onext("rotate", "hub")
    assert kept.public(secrets.HUB) == new != former
    assert [hub["key"] for hub in front_end.answer(machine.ask("sync"), key)["hubs"]] == [new]


def certified(front_end: FrontEnd, name: str = "user_key-cert.pub") -> tuple[str, str] | None:
    """Return for which key oneadmin's certificate is, and by which authority."""
    return certificates.parties(Secrets.of(front_end.paths).file(name).read_text())


def test_another_authority_certifies_oneadmin(front_end: FrontEnd, key: str) -> None:
    """Whoever copied the authority's key would be oneadmin on every node, and oneadmin must not be locked out."""
    kept, machine = Secrets.of(front_end.paths), Machine("edge-1")
    front_end.join(machine, front_end.token())
    user, former = kept.public(secrets.USER), kept.public(secrets.USER_CA)
    assert certified(front_end) == (user, former)
    front_end.onext("rotate", "user-ca")
    new = kept.public(secrets.USER_CA)
    assert front_end.answer(machine.ask("sync"), key)["user_ca"] == new != former
    assert certified(front_end) == (user, new)
    assert certified(front_end, "user_key-former-cert.pub") == (user, former), (
        "for nodes that do not know yet"
    )
    config = kept.file("ssh_config").read_text()
    assert config.index("user_key-cert.pub") < config.index("user_key-former-cert.pub")
    later = replace(front_end.context, now=lambda: time.time() + 2 * 3600)
    publish(later, Book.of(front_end.context.oned))
    assert not kept.file("user_key-former-cert.pub").exists()
    assert "former-cert" not in kept.file("ssh_config").read_text()


def test_another_authority_certifies_nodes(front_end: FrontEnd, key: str) -> None:
    """With the authority's key an attacker could impersonate every node; ssh still accepts nodes that did not ask yet."""
    kept, machine = Secrets.of(front_end.paths), Machine("edge-1")
    front_end.join(machine, front_end.token())
    former = kept.public(secrets.HOST_CA)
    front_end.onext("rotate", "host-ca")
    new = kept.public(secrets.HOST_CA)
    asked = messages.Asked(machine.secret, "sync", {"session": machine.session, "certificate": True})
    told = front_end.answer(asked, key)
    assert told["host_ca"] == new != former
    assert certificates.parties(told["certificate"]) == (machine.ssh, new)
    known = kept.file("known_hosts").read_text()
    assert known.splitlines()[0].endswith(new)
    assert known.splitlines()[1].endswith(former)
    later = replace(front_end.context, now=lambda: time.time() + 2 * 3600)
    publish(later, Book.of(front_end.context.oned))
    assert former not in kept.file("known_hosts").read_text()


def test_another_key_signs_answers(front_end: FrontEnd, key: str) -> None:
    """With the key of answers an impostor could give nodes other peers; a node that was away must learn the new one."""
    kept, machine = Secrets.of(front_end.paths), Machine("edge-1")
    token = front_end.token("--uses", "2", "--name", "*")
    front_end.join(machine, token)
    front_end.onext("rotate", "answers")
    new = kept.public(secrets.ANSWER)
    assert new != key

    def ask(knows: str, checked_by: str) -> dict[str, object]:
        values = {"session": machine.session, "certificate": False, "knows": knows}
        return front_end.answer(messages.Asked(machine.secret, "sync", values), checked_by)

    assert ask(key[:16], key)["answer_key"] == new, "a node that was away"
    assert ask(new[:16], new)["answer_key"] == new
    for knows in (new[:16], "", "f" * 16):
        with pytest.raises(WrongServer):
            ask(knows, key)
    late = Machine("edge-2")
    assert front_end.answer(late.join(token, knows=key[:16]), key)["answer_key"] == new, "a token from before"
    front_end.onext("rotate", "answers")
    newest = kept.public(secrets.ANSWER)
    assert ask(new[:16], new)["answer_key"] == newest


def test_a_rotation_of_the_key_of_answers_that_was_interrupted(front_end: FrontEnd, key: str) -> None:
    """A node would get no answer that it can check."""
    kept, machine = Secrets.of(front_end.paths), Machine("edge-1")
    front_end.join(machine, front_end.token())
    for where in ("hooks.edge.secrets.Secrets.replace", "onext.oned.documents.Documents.put"):
        rotate_killed_at(front_end, "answers", where)
        asked = messages.Asked(
            machine.secret, "sync", {"session": machine.session, "certificate": False, "knows": key[:16]}
        )
        assert front_end.answer(asked, key)["result"] == "ok"
    new = kept.public(secrets.ANSWER)
    rotation.rotate(front_end.context, "answers")
    assert kept.public(secrets.ANSWER) == new == recorded(front_end).answer_key
    assert kept.public(secrets.FORMER_ANSWER) == key


@pytest.mark.parametrize(("name", "file"), [("user-ca", secrets.USER_CA), ("host-ca", secrets.HOST_CA)])
def test_a_rotation_of_an_authority_that_was_interrupted(front_end: FrontEnd, name: str, file: str) -> None:
    """Between key and record nothing is signed by the new one, and the next attempt records it."""
    kept, before = Secrets.of(front_end.paths), recorded(front_end)
    rotate_killed_at(front_end, name, "onext.oned.documents.Documents.put")
    new = kept.public(file)
    assert recorded(front_end) == before
    publish(front_end.context, Book.of(front_end.context.oned))
    assert certified(front_end) == (kept.public(secrets.USER), before.user_ca)
    if name == "host-ca":
        with pytest.raises(NotReady, match="init --from"):
            front_end.join(Machine("edge-1"), front_end.token())
    checked = {check.name: check.message for check in part.checks(front_end.context)}
    assert "not the keys of the zone's record" in checked["keys"]
    rotation.rotate(front_end.context, name)
    after = recorded(front_end)
    assert new == kept.public(file) == (after.user_ca if name == "user-ca" else after.host_ca)
    assert certified(front_end) == (kept.public(secrets.USER), after.user_ca)


@pytest.fixture
def second(front_end: FrontEnd, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Second:
    """Return the zone's other server; each reaches the other by ssh."""
    made = Second(front_end, tmp_path / "second")
    first = front_end.context.__dict__["oned"] = server(front_end, 0, RaftState.LEADER)
    entries = (
        zone.Server(0, "first", "first.example", here=False),
        zone.Server(1, "second", "second.example", here=False),
    )
    monkeypatch.setattr(zone, "others", lambda oned, *_: [entries[1 - oned.number]])
    monkeypatch.setattr(zone, "servers", lambda *_: [])
    known = {front_end.paths: first, made.paths: made.oned}
    monkeypatch.setattr(Oned, "connect", lambda paths, *_: known[paths])
    machines: dict[str, FrontEnd | Second] = {"first": front_end, "second": made}

    def ask(asked: zone.Server, _paths: Paths, words: list[str], **_: object) -> zone.Answer:
        text = machines[asked.name].onext(*words[1:], check=False)
        return zone.Answer(asked, "Error" not in text, text)

    monkeypatch.setattr(zone, "ask", ask)
    monkeypatch.setattr("hooks.edge.ssh_client.include", lambda *_: True)
    made.onext("init", "--from", "first")
    return made


@pytest.mark.parametrize("name", ["token", "user", "user-ca", "host-ca", "answers"])
def test_all_servers_of_the_zone_get_the_key(front_end: FrontEnd, second: Second, name: str) -> None:
    """The next leader would be locked out of all nodes, and fence them."""
    here, there = Secrets.of(front_end.paths), Secrets.of(second.paths)
    before = here.exported()
    front_end.onext("rotate", name)
    assert here.exported() == there.exported() != before
    assert second.onext("token", "--cluster", "0").startswith("onext-edge:")


def test_a_server_that_does_not_answer_keeps_the_former_key_valid(
    front_end: FrontEnd, second: Second, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may lead, and its key would be refused everywhere; a person may decide otherwise."""
    here, there = Secrets.of(front_end.paths), Secrets.of(second.paths)
    former = here.public(secrets.USER)
    with monkeypatch.context() as patch:
        patch.setattr(zone, "ask", lambda asked, *_, **__: zone.Answer(asked, False, "no route"))
        refused = front_end.onext("rotate", "user", check=False)
        assert "server second did not take the key (no route)" in refused
        assert recorded(front_end).revoked_users == ()
        assert there.public(secrets.USER) == former
    front_end.onext("rotate", "user")
    assert recorded(front_end).revoked_users == (former,)
    assert there.public(secrets.USER) == here.public(secrets.USER)
    with monkeypatch.context() as patch:
        patch.setattr(zone, "ask", lambda asked, *_, **__: zone.Answer(asked, False, "no route"))
        front_end.onext("rotate", "user", "--force")
    assert there.public(secrets.USER) in recorded(front_end).revoked_users
    second.onext("init", "--from", "first")
    assert there.public(secrets.USER) == here.public(secrets.USER)
