"""What strangers and tenants may send on purpose: it is refused, and the others are served meanwhile."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Callable
from typing import cast

import pytest
from starlette.requests import Request
from starlette.types import Message, Receive, Scope

from gateway import guard
from gateway.callers import Caller, Callers
from gateway.credentials import Credential
from gateway.gate import Gate
from gateway.limits import Buckets
from gateway.protocol import STALLED
from gateway.questions import Answer, Question
from gateway.refusals import Forbidden, Invalid, TooMany, Unauthorised
from gateway.rpc import wire
from gateway.rpc.table import Call, Resource
from gateway.scoped import Judge, Scopes
from gateway.sessions import Sessions
from gateway.short_cache import ShortCache
from tests.gateway.conftest import Cloud, Gateway, basic, started
from tests.waiting import PATIENCE, until

_CALL = b"<methodCall><methodName>one.vm.info</methodName><params><param><value>%b</value></param></params></methodCall>"
_ARRAY = b"<array><data>%b</data></array>"


def raw(gateway: Gateway, request: bytes) -> bytes:
    """Return the status line and more of the answer to bytes that no library sends."""
    with socket.create_connection(("127.0.0.1", gateway.port), PATIENCE) as connection:
        connection.sendall(request)
        return connection.recv(65_536)


@pytest.mark.process
@pytest.mark.parametrize(
    "head",
    [
        "POST /v1/actions HTTP/1.1\r\nOrigin: http://[",
        "POST /login HTTP/1.1\r\nOrigin: http://[",
        f"GET /v1/vms/{'9' * 5000} HTTP/1.1",
        f"GET /hosts/{'9' * 5000} HTTP/1.1",
        f"GET /hosts/{'9' * 5000}/orders/off HTTP/1.1",
        "GET /v1/vms HTTP/1.1\r\nAuthorization: Basic eDp5",  # a second one
    ],
)
def test_a_malformed_head_is_refused(gateway: Gateway, head: str) -> None:
    """Strangers would fill the log with tracebacks, or a proxy and the gateway would read different users from one request."""
    mine = basic(gateway.sandbox.session)["Authorization"]
    kind = "Content-Type: application/json\r\nContent-Length: 0"
    answer = raw(gateway, f"{head}\r\nHost: x\r\nAuthorization: {mine}\r\n{kind}\r\n\r\n".encode())
    assert answer[9:12] in (b"400", b"401", b"403", b"404"), answer
    assert "Traceback" not in gateway.output


@pytest.mark.process
def test_no_redirect_leads_to_a_host_that_the_client_names(gateway: Gateway) -> None:
    """A cache before the gateway would send people to another site."""
    answer = raw(gateway, b"GET /login/ HTTP/1.1\r\nHost: evil.example\r\n\r\n")
    assert b"evil.example" not in answer
    assert answer.startswith(b"HTTP/1.1 404")


@pytest.mark.parametrize(
    "body",
    [
        b"<methodCall>" + b"<a/>" * 1_000_000 + b"</methodCall>",
        b"<methodCall>" + b"<a>" * 1_000_000,
        b"<methodCall " + b" ".join(b"a%d='1'" % number for number in range(100_000)) + b"/>",
        _CALL % (_ARRAY % (b"<value><int>1</int></value>" * 100_000)),
        _CALL % (b"<struct>" * 500_000),
        _CALL % (b"<string>" + b"&amp;" * 1_500_000 + b"</string>"),
        _CALL % (b"<string>" + b"\n" * 4_000_000 + b"</string>"),
        _CALL % (b"<string>" + b"<![CDATA[a]]>" * 500_000 + b"</string>"),
    ],
)
def test_a_call_that_takes_seconds_to_read_is_not_read(body: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    """A stranger would stop the gateway for all others, five seconds with each 8 MB."""
    parsed: list[object] = []
    monkeypatch.setattr("xmlrpc.client.loads", lambda body, **_named: parsed.append(body))
    with pytest.raises(Invalid):
        wire.read(body)
    assert parsed == []


def test_a_large_call_that_clients_send_is_read() -> None:
    """Nobody could hand a large template or a file to OpenNebula."""
    text = 'FILE = "a & <b>"\n' * 150_000
    called = wire.encode("one.vm.update", "a:b", (12, text, [*range(1000)], True, 1.5))
    assert wire.read(called).arguments == (12, text, [*range(1000)], True, 1.5)
    sections = b"<![CDATA[a:b]]>", b"<![CDATA[" + b"if (1 < 2 && 3 > 2) x <<EOF\n" * 30_000 + b"]]>"
    values = b"".join(b"<param><value><string>%b</string></value></param>" % one for one in sections)
    body = b"<methodCall><methodName>one.vm.allocate</methodName><params>%b</params></methodCall>" % values
    assert wire.read(body).session == "a:b"


def test_one_user_does_not_end_the_logins_of_others() -> None:
    """A tenant who logs in a thousand times would log everybody out."""
    sessions = Sessions(8.0)
    other = sessions.begin(Credential("alice", "a"))
    mine = [sessions.begin(Credential("mallory", "m")) for _ in range(2000)]
    assert sessions.get(other) is not None
    assert sessions.get(mine[-1]) is not None
    assert sessions.get(mine[0]) is None


def test_strangers_share_no_allowance() -> None:
    """One stranger would use up the public view for all of them; a user with two addresses has one allowance."""

    class Everybody:
        async def of(self, credential: Credential) -> Caller:
            return Caller(credential, 7, credential.user, frozenset({1}))

    public = Credential("public", "secret")
    gate = Gate(cast("Callers", Everybody()), Sessions(8.0), Buckets(0.001, 2.0), public)

    def ask(address: str, credential: Credential) -> None:
        asyncio.run(gate.accept(credential, Request({"type": "http", "headers": [], "client": (address, 1)})))

    for _ in range(2):
        ask("192.0.2.1", public)
    with pytest.raises(TooMany):
        ask("192.0.2.1", public)
    ask("192.0.2.2", public)
    user = Credential("public", "other")  # the same user with a login
    for address in ("192.0.2.1", "192.0.2.2"):
        ask(address, user)
    with pytest.raises(TooMany):
        ask("192.0.2.3", user)


def test_bodies_of_many_clients_have_a_bound_together() -> None:
    """A few dozen strangers would fill the memory with calls that never end."""

    async def serve() -> None:
        sent: asyncio.Queue[Message] = asyncio.Queue()
        piece: Message = {"type": "http.request", "body": b"x" * guard.LARGEST_CALL, "more_body": True}
        scope: Scope = {"type": "http", "query_string": b""}
        waiting = [
            asyncio.ensure_future(guard.body(scope, _then(piece, sent), guard.LARGEST_CALL))
            for _ in range(guard.MOST_BYTES // guard.LARGEST_CALL)
        ]
        await asyncio.sleep(0)
        with pytest.raises(TooMany):
            await guard.body(scope, _then(piece, sent), guard.LARGEST_CALL)
        small: Message = {"type": "http.request", "body": b"x" * 100, "more_body": False}
        assert len(await guard.body(scope, _then(small, sent), guard.LARGEST_CALL)) == 100
        for one in waiting:
            one.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
        end: Message = {**piece, "more_body": False}
        assert len(await guard.body(scope, _then(end, sent), guard.LARGEST_CALL)) == guard.LARGEST_CALL

    asyncio.run(serve())


def _then(first: Message, queue: asyncio.Queue[Message]) -> Receive:
    messages = [first]

    async def receive() -> Message:
        return messages.pop() if messages else await queue.get()

    return receive


@pytest.mark.process
@pytest.mark.parametrize("fields", ["", "Connection: close\r\n"])
def test_a_client_that_reads_nothing_loses_its_place(cloud: Cloud, fields: str) -> None:
    """A stranger who asks and never reads the answers would hold all connections without a limit."""
    with started(cloud.sandbox, "  requests: 10000\n  connections: 8\n") as gateway:
        held = []
        for _ in range(2):
            one = socket.socket()
            one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
            one.connect(("127.0.0.1", gateway.port))
            one.setblocking(False)
            with contextlib.suppress(BlockingIOError, ConnectionError):
                while True:
                    one.send(f"GET /static/world.svg HTTP/1.1\r\nHost: x\r\n{fields}\r\n".encode() * 100)
            held.append(one)
        until(gateway.serves, "a place", 4 * STALLED)
        for one in held:
            one.close()


@pytest.mark.process
def test_a_burst_of_streams_has_the_bound_of_single_ones(cloud: Cloud) -> None:
    """One user would take the places of all others' live pages by asking for all at once."""
    with started(cloud.sandbox, "  requests: 10000\n  connections: 256\n  metrics: true\n") as gateway:
        head = basic(cloud.session("alice"))["Authorization"]
        request = f"GET /v1/events HTTP/1.1\r\nHost: x\r\nAccept: text/event-stream\r\nAuthorization: {head}\r\n\r\n"
        gateway.get("/v1/vms", cloud.session("alice"))
        held = [socket.create_connection(("127.0.0.1", gateway.port), PATIENCE) for _ in range(40)]
        for one in held:
            one.sendall(request.encode())
        answers = [one.recv(4096) for one in held]
        assert sum(b" 200 " in one for one in answers) >= 16
        assert _figure(gateway, "onext_gateway_event_streams") <= 16
        for one in held:
            one.close()


def _figure(gateway: Gateway, name: str) -> float:
    text = gateway.get("/metrics", None).body.decode()
    return next(float(line.split()[1]) for line in text.splitlines() if line.startswith(f"{name} "))


def test_a_user_has_a_bounded_time_of_the_process_that_decides() -> None:
    """A tenant whose token computes for two seconds, again and again, would keep all scoped tokens waiting."""

    class Slow:
        def ask(self, question: Question, spent: Callable[[float], None]) -> Answer:
            spent(3.0)
            return Answer(refused="no", unknown=question.user == "stranger")

    scopes = Scopes("", "", dict, ShortCache(20.0, 10), cast("Judge", Slow()))

    def ask(user: str, number: int) -> None:
        call = Call("vm:info", (Resource("vm", number),))
        asyncio.run(scopes.compose(Credential(user, "token"), [call]))

    for number in range(2):
        with pytest.raises(Forbidden):
            ask("mallory", number)
    with pytest.raises(TooMany):
        ask("mallory", 2)
    with pytest.raises(Forbidden):
        ask("alice", 2)
    for number in range(5):  # a token that is not the user's costs the user nothing
        with pytest.raises(Unauthorised):
            ask("stranger", number)
