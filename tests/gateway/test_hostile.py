"""What strangers and tenants may send on purpose: it is refused, and the others are served meanwhile."""

from __future__ import annotations

import contextlib
import socket

import pytest

from gateway.protocol import STALLED
from gateway.refusals import Invalid
from gateway.rpc import wire
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
