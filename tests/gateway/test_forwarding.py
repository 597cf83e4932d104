"""Calls on their way to oned: read in one pass, encoded anew, and sent over connections that are kept."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import xmlrpc.client
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import anyio
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.refusals import Invalid
from gateway.rpc import upstream as forwarding
from gateway.rpc import wire
from gateway.rpc.scan import scan
from gateway.rpc.upstream import Upstream
from onext.oned.errors import Malformed, OnedError, TimedOut, Unreachable
from tests.gateway.conftest import Cloud, started

TEXTS = st.text(st.one_of(st.characters(codec="utf-8"), st.sampled_from("&<>\"'\r\n\t;]amp#1")), max_size=30)
ARGUMENTS = st.lists(
    st.one_of(TEXTS, st.integers(-(2**31), 2**31 - 1), st.booleans(), st.floats(allow_nan=False)), max_size=6
)


def read_by_parser(body: bytes) -> wire.Request | None:
    """Return what the XML parser alone reads."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(wire, "scan", lambda _body: None)
        try:
            return wire.read(body)
        except Invalid:
            return None


@settings(max_examples=400)
@given(ARGUMENTS, TEXTS, st.sampled_from(["'", '"']), st.booleans())
def test_one_pass_reads_what_the_parser_reads(
    arguments: list[Any], session: str, quote: str, tight: bool
) -> None:
    """A call would be decided on by one text, and forwarded as another."""
    text = xmlrpc.client.dumps((session, *arguments), "one.vm.info").replace("'1.0'", f"{quote}1.0{quote}")
    body = (text.replace(">\n<", "><") if tight else text).encode(errors="replace")
    found = scan(body)
    if found is not None:
        assert read_by_parser(body) == wire._request(*found)


@settings(max_examples=400)
@given(st.data())
def test_a_damaged_call_is_read_alike_or_by_the_parser_alone(data: st.DataObject) -> None:
    """What the parser refuses would pass, because one pass took it for a call."""
    body = bytearray(xmlrpc.client.dumps(("a:b&c", 12, True, "x"), "one.vm.info").encode())
    pieces = st.sampled_from(
        [
            b"<",
            b"&",
            b"&#65;",
            b"&lt",
            b"]]>",
            b"<!---->",
            b"\x00",
            b"\r",
            b"</string>",
            b"<nil/>",
            b" ",
            b"_",
            b"\xff",
        ]
    )
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(body)))
        body[at : at + data.draw(st.integers(0, 4))] = data.draw(pieces)
    found = scan(bytes(body))
    if found is not None:
        try:
            mine = wire._request(*found)
        except Invalid:
            mine = None
        assert read_by_parser(bytes(body)) == mine


@pytest.mark.parametrize("client", ["python", "ruby"])
def test_usual_clients_are_read_in_one_pass(client: str) -> None:
    """Every call of `onevm` and pyone would cost as much as an XML parser."""
    body = xmlrpc.client.dumps(("a:b", 1, True), "one.vm.info").encode()
    if client == "ruby":
        body = (
            b'<?xml version="1.0" ?><methodCall><methodName>one.vm.info</methodName><params><param><value><string>a:b</string>'
            b"</value></param><param><value><i4>1</i4></value></param><param><value><boolean>1</boolean></value></param>"
            b"</params></methodCall>\n"
        )
    assert scan(body) == ("one.vm.info", ["a:b", 1, True])


@settings(max_examples=300)
@given(ARGUMENTS, st.lists(st.integers(-9, 9), max_size=3))
def test_what_is_encoded_is_what_the_standard_library_encodes(arguments: list[Any], ids: list[int]) -> None:
    """Oned would read something else than clients of the standard library send."""
    expected = xmlrpc.client.dumps(("a:b", *arguments, ids), "one.vm.info")
    try:
        assert wire.encode("one.vm.info", "a:b", [*arguments, ids]).decode() == expected
    except (Invalid, UnicodeEncodeError):
        assert any(char < " " and char not in "\t\n\r" for char in expected) or not expected.isprintable()


Script = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


class Server:
    """A server that does what `script` does with each call, and counts its connections."""

    def __init__(self, script: Script, seconds: float = 20.0) -> None:
        self._script, self._seconds = script, seconds
        self.connections: list[asyncio.StreamWriter] = []
        self._served: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> Server:  # noqa: PYI034 - Self is of Python 3.11
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        port = self._server.sockets[0].getsockname()[1]
        self.upstream = Upstream(f"http://127.0.0.1:{port}/RPC2", anyio.CapacityLimiter(2), self._seconds)
        return self

    async def __aexit__(self, *_error: object) -> None:
        assert self.upstream.limiter.borrowed_tokens == 0
        if self.upstream._preparing is not None:
            await self.upstream._preparing
        self.upstream._drop_spare()
        self._server.close()
        await asyncio.gather(*self._served)
        await asyncio.sleep(0)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections.append(writer)
        self._served.append(asyncio.ensure_future(self._serve(reader, writer)))

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, EOFError):
            head = await reader.readuntil(b"\r\n\r\n")
            assert head.startswith(b"POST /RPC2 HTTP/1.0\r\nHost: 127.0.0.1:")
            assert await reader.readexactly(int(head.rpartition(b": ")[2])) == b"<call/>"
            await self._script(reader, writer)
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()

    async def call(self) -> bytes | OnedError:
        """Return the answer to a call, or its error."""
        try:
            answer = await self.upstream.call(b"<call/>")
        except OnedError as error:
            return error
        try:
            return b"".join([chunk async for chunk in answer.chunks()])
        except OnedError as error:
            return error
        finally:
            answer.end()


def exchange(script: Script, seconds: float = 20.0) -> bytes | OnedError:
    """Return the answer to a call."""

    async def run() -> bytes | OnedError:
        async with Server(script, seconds) as server:
            return await server.call()

    return asyncio.run(run())


def answering(*pieces: bytes) -> Script:
    """Send pieces, each on its own."""

    async def script(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(0.01)

    return script


OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
LARGE = b"x" * 3_000_000


@pytest.mark.process
@pytest.mark.parametrize(
    ("pieces", "expected"),
    [
        ((b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",), b"ok"),
        ((b"HTTP/1.1 200", b" OK\r\ncontent-length:2\r", b"\n\r", b"\no", b"k"), b"ok"),
        ((b"HTTP/1.0 200 OK\r\n\r\nuntil ", b"the end"), b"until the end"),
        ((b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",), b""),
        ((b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok and more",), b"ok"),
        ((b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(LARGE), LARGE), LARGE),
    ],
)
def test_an_answer_is_read_whole(pieces: Sequence[bytes], expected: bytes) -> None:
    """A client would get half an answer, or the bytes behind it."""
    assert exchange(answering(*pieces)) == expected


@pytest.mark.process
def test_the_connection_of_the_next_call_is_open_already(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each call would wait for a connection; or the gateway would hold oned's few ones while nobody calls."""

    async def run() -> None:
        async with Server(answering(OK)) as server:
            assert await server.call() == b"ok"
            await wait(lambda: len(server.connections) == 2)  # one for the next call
            assert await server.call() == b"ok"
            await wait(lambda: server.upstream._spare is not None)
            assert len(server.connections) == 3
            server.connections[-1].transport.abort()  # oned was restarted
            await wait(lambda: server.upstream._spare is None or server.upstream._spare.ended)
            assert await server.call() == b"ok"
            await wait(lambda: server.upstream._spare is None)  # nobody called for a while

    monkeypatch.setattr(forwarding, "SPARE", 0.3)
    asyncio.run(run())


async def wait(holds: Callable[[], bool]) -> None:
    """Wait until something holds."""
    for _ in range(2000):
        if holds():
            return
        await asyncio.sleep(0.01)
    pytest.fail("it did not come about")


BROKEN: Sequence[tuple[bytes, type[OnedError]]] = [
    (b"", Unreachable),
    (b"HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\ncut", Unreachable),
    (b"HTTP/1.1 500 no\r\nContent-Length: 2\r\n\r\nok", Malformed),
    (b"SSH-2.0-OpenSSH\r\n\r\n", Malformed),
    (b"HTTP/1.1 200 OK\r\nContent-Length: -2\r\n\r\nok", Malformed),
    (b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\nok", Malformed),
    (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\no\r\n0\r\n\r\n", Malformed),
    (b"HTTP/1.1 200 OK\r\nX: " + b"x" * 200_000, Malformed),
]


@pytest.mark.process
@pytest.mark.parametrize(("answer", "kind"), BROKEN)
def test_what_is_no_answer_is_an_error(answer: bytes, kind: type[OnedError]) -> None:
    """A client would take half an answer for a whole one, or wait for ever."""
    assert type(exchange(answering(answer))) is kind


@pytest.mark.process
def test_an_oned_that_does_not_listen_is_an_error() -> None:
    """Clients would get a fault of the gateway while OpenNebula is restarted."""

    async def run() -> None:
        upstream = Upstream("http://localhost:1/RPC2", anyio.CapacityLimiter(2), 20.0)
        with pytest.raises(Unreachable):
            await upstream.call(b"<call/>")
        assert upstream.limiter.borrowed_tokens == 0

    asyncio.run(run())


@pytest.mark.process
def test_an_answer_that_does_not_come_ends() -> None:
    """A stalled oned would hold the gateway's places for ever."""

    async def script(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
        while True:
            writer.write(b".")
            await writer.drain()
            await asyncio.sleep(0.05)

    assert isinstance(exchange(script, seconds=0.4), TimedOut)


HEADS = [
    b"GET / HTTP/1.1\r\nX: " + b"x" * 70_000,
    b"GET / HTTP/1.1\r\n" + b"a: b\r\n" * 70 + b"\r\n",
    b"GET /" + b"x" * 70_000,
    b"POST /login HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\nt: "
    + b"x" * 900_000,
    b"POST /login HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n"
    + b"t: x\r\n" * 70,
    b"POST /login HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost : x\r\n\r\n",
    b"GET /\xff HTTP/1.1\r\n\r\n",
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
]


@pytest.mark.process
def test_the_head_of_a_request_is_bounded(cloud: Cloud) -> None:
    """A client would fill the gateway's memory with fields, before or behind a body."""
    with started(cloud.sandbox) as gateway:
        for head in HEADS:
            with socket.create_connection(("127.0.0.1", gateway.port), 20) as connection:
                connection.sendall(head)
                found = b""
                try:
                    connection.settimeout(8)  # below the time that a head has
                    while chunk := connection.recv(65536):
                        found += chunk
                except ConnectionResetError:
                    pass
                assert found == b"" or found.startswith(
                    (b"HTTP/1.1 400", b"HTTP/1.1 403", b"HTTP/1.1 303")
                ), (head[:80], found[:200])
        assert gateway.get("/-/healthy", None).status == 200
        assert "Traceback" not in gateway.output


@pytest.mark.process
def test_many_calls_of_one_connection_are_answered_in_order(cloud: Cloud) -> None:
    """A client that keeps its connection, or sends ahead, would get the answer of another call."""
    with started(cloud.sandbox, "  rpc: true\n  requests: 10000\n") as gateway:
        bodies = [
            xmlrpc.client.dumps((cloud.sandbox.session, vm), "one.vm.info").encode() for vm in (0, 1, 77)
        ] * 5
        with socket.create_connection(("127.0.0.1", gateway.port), 20) as connection:
            for body in bodies:
                connection.sendall(
                    b"POST /RPC2 HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)
                )
            stream = connection.makefile("rb")
            for number in range(len(bodies)):
                assert stream.readline() == b"HTTP/1.1 200 OK\r\n"
                fields = dict(line.rstrip().split(b": ", 1) for line in iter(stream.readline, b"\r\n"))
                text = stream.read(int(fields[b"content-length"])).decode()
                expected = ("<ID>0</ID>", "<ID>1</ID>", "77")[number % 3]
                assert expected in text.replace("&lt;", "<").replace("&gt;", ">")
