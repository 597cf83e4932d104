"""How the node program asks front-ends: one after the other, and again while they are not ready."""

from __future__ import annotations

import http.client
import ssl
from types import SimpleNamespace
from typing import Any, cast

import pytest

from edge import ed25519, membership, messages, server, tunnel, word
from edge.errors import EdgeError, NotReady, Refused, Unreachable, WrongServer
from edge.word import Server
from tests.edge.test_messages import FRONT_END, KEY, answered

ONE, TWO = Server("one", 8443, "1" * 64), Server("two", 8444, "2" * 64)


class Played:
    """Front-ends that answer as the test states, and a clock."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.now, self.asked, self.slept = 1000.0, list[str](), list[float]()
        self.answers: dict[str, Any] = {}
        self.seconds: set[float] = set()
        self.told: list[str] = []
        self.request = messages.Asked(ed25519.generate(), "sync", {})
        patch.setattr(server, "time", SimpleNamespace(monotonic=lambda: self.now, sleep=self._sleep))
        patch.setattr(server, "_post", self._post)

    def _sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds

    def _post(self, where: Server, data: bytes, seconds: float) -> tuple[int, bytes]:
        assert data == self.request.data
        self.asked.append(where.host)
        self.seconds.add(seconds)
        found = self.answers[where.host]
        if isinstance(found, Exception):
            raise found
        return found if isinstance(found, tuple) else (200, answered(self.request, found))

    def ask(self, patience: float = 0.0) -> dict[str, Any]:
        """Ask both."""
        return server.ask([ONE, TWO], self.request, KEY, patience, 7.0, self.told.append)


@pytest.fixture
def played(monkeypatch: pytest.MonkeyPatch) -> Played:
    """Return two front-ends."""
    return Played(monkeypatch)


def test_the_first_answer_counts(played: Played) -> None:
    """A second server would be asked to do it again."""
    played.answers = {"one": None, "two": None}
    assert played.ask()["result"] == "ok"
    assert (played.asked, played.seconds) == (["one"], {7.0})


@pytest.mark.parametrize(
    "problem",
    [
        OSError("no route"), http.client.BadStatusLine("x"), WrongServer("its certificate"), (503, b"{}"), (404, b""),
        ConnectionResetError(), ssl.SSLEOFError(), (500, b"x"),
    ],
)  # fmt: skip
def test_the_next_one_is_asked(played: Played, problem: object) -> None:
    """A node would be cut off with the first of two front-ends."""
    played.answers = {"one": problem, "two": None}
    assert played.ask()["result"] == "ok"
    assert played.asked == ["one", "two"]


def test_a_refusal_is_final(played: Played) -> None:
    """Each server would be asked about a token that is used up."""
    played.answers = {
        "one": {"to": played.request.digest, "result": "refused", "message": "used"},
        "two": None,
    }
    with pytest.raises(Refused, match="used"):
        played.ask(60.0)
    assert played.asked == ["one"]
    played.answers = {"one": (200, b"garbage"), "two": (200, b"garbage")}
    with pytest.raises(WrongServer, match="not signed"):
        played.ask(60.0)


@pytest.mark.parametrize(
    ("one", "two", "kind"),
    [
        (OSError("a"), OSError("b"), Unreachable), ((404, b""), OSError("b"), Unreachable),
        ((503, b""), OSError("b"), NotReady), (OSError("a"), (503, b""), NotReady),
        (ConnectionResetError(), OSError("b"), NotReady), (OSError("a"), BrokenPipeError(), NotReady),
        (ssl.SSLEOFError(), WrongServer("a certificate"), NotReady),
        (WrongServer("a certificate"), WrongServer("a certificate"), WrongServer), (WrongServer("a certificate"), OSError("b"), Unreachable),
    ],
)  # fmt: skip
def test_what_a_node_is_told_when_nobody_answers(
    played: Played, one: object, two: object, kind: type
) -> None:
    """A person waits for a server that restarts, and not for one with another certificate."""
    played.answers = {"one": one, "two": two}
    with pytest.raises(kind) as found:
        played.ask()
    assert type(found.value) is kind


def test_each_problem_is_named_on_one_line(played: Played) -> None:
    """An installer reads which server has which problem; what it sent must not rewrite the terminal."""
    played.answers = {"one": (503, b'{"error": "no leader\\u001b[2J"}'), "two": (404, b"[]")}
    with pytest.raises(NotReady) as found:
        played.ask()
    assert str(found.value) == "no front-end answered: one:8443: no leader?[2J; two:8444: HTTP 404"


def test_servers_that_are_not_ready_are_asked_again_for_a_time(played: Played) -> None:
    """A rack that starts with its front-end would give up joining, or wait for ever."""
    played.answers = {"one": (503, b'{"error": "no leader"}'), "two": OSError("b")}
    with pytest.raises(NotReady):
        played.ask(5.0)
    assert played.slept == [2.0, 2.0, 2.0]
    assert len(played.asked) == 8
    assert len(played.told) == 1
    assert played.told[0].endswith("no leader; two:8444: b; trying again for 5 s")
    played.answers = {"one": OSError("a"), "two": OSError("b")}
    with pytest.raises(Unreachable):
        played.ask(5.0)
    assert len(played.slept) == 3, "a server that is not there is not waited for"


def test_nobody_to_ask() -> None:
    """The program reports a state without servers as that, not as a wrong certificate."""
    with pytest.raises(Unreachable, match="no front-end answered"):
        server.ask([], messages.Asked(FRONT_END, "sync", {}), KEY)


def exchanged(monkeypatch: pytest.MonkeyPatch, answer: bytes) -> tuple[int, bytes]:
    """Return what is read of an answer."""

    class Connection:
        def __init__(self, *_: object) -> None:
            self.sock: object = None

        def request(self, *words: object) -> None:
            assert words[:3] == ("POST", "/edge", b"data")

        def getresponse(self) -> SimpleNamespace:
            return SimpleNamespace(status=200, read=lambda most: answer[:most])

    monkeypatch.setattr(http.client, "HTTPConnection", Connection)
    return server._exchange(ONE, cast("ssl.SSLSocket", None), b"data")


def test_an_answer_has_a_size(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever answers could fill the node's memory."""
    monkeypatch.setattr(messages, "LARGEST", 100)
    assert exchanged(monkeypatch, b"x" * 100) == (200, b"x" * 100)
    with pytest.raises(EdgeError, match="too large"):
        exchanged(monkeypatch, b"x" * 101)


def test_a_certificate_is_compared_before_anything_is_sent() -> None:
    """A man in the middle would read the token."""
    digest = "2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae"
    server._compare(ONE._replace(digest=digest), b"foo")
    for certificate in (b"fop", b""):
        with pytest.raises(WrongServer, match="nothing was sent"):
            server._compare(ONE._replace(digest=digest), certificate)


def test_within_the_tunnel_an_endpoint_may_have_another_certificate(monkeypatch: pytest.MonkeyPatch) -> None:
    """A front-end that lost its certificate would lose every node; outside the tunnel an attacker could answer."""
    state = {"hubs": [{"address": "fd00::1"}], "servers": [["one:8443", "1" * 64]]}
    monkeypatch.setattr(tunnel, "present", lambda: True)
    (inside,) = membership.overlay_servers(state)
    server._compare(inside, b"another")
    assert inside[:2] == ("fd00::1", 8443)
    (public,) = membership.public_servers(state)
    monkeypatch.setattr(tunnel, "present", lambda: False)
    for one in (public, *membership.overlay_servers(state)):
        with pytest.raises(WrongServer):
            server._compare(one, b"another")
    with pytest.raises(ValueError, match="form"):
        word.servers([["one:8443", word.IN_TUNNEL]])
