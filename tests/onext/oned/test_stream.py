"""Whole pools over a real socket: right values, typed errors, a deadline that holds."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from xml.sax.saxutils import escape

import pytest
from hypothesis import given
from hypothesis import strategies as st

from onext.oned import stream
from onext.oned.errors import (
    Malformed,
    NotFound,
    OnedError,
    Refused,
    TimedOut,
    Unauthenticated,
    Unauthorised,
    Unreachable,
)
from onext.oned.escaped import unescape, whole_references
from onext.oned.stream import Source, document, pool

pytestmark = pytest.mark.process


def envelope(value: str) -> bytes:
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\r\n<methodResponse>\r\n<params>\r\n<param><value><array><data>\r\n'
        f"{value}</data></array></value></param>\r\n</params>\r\n</methodResponse>\r\n"
    ).encode()


def success(text: str) -> bytes:
    return envelope(
        f"<value><boolean>1</boolean></value>\r\n<value><string>{escape(text)}</string></value>\r\n<value><i4>0</i4></value>\r\n"
    )


def failure(message: str, code: int) -> bytes:
    return envelope(
        f"<value><boolean>0</boolean></value>\r\n<value><string>{message}</string></value>\r\n<value><i4>{code}</i4></value>\r\n"
    )


def http(body: bytes, status: str = "200 OK") -> bytes:
    return b"HTTP/1.1 %b\r\nContent-Length: %d\r\n\r\n%b" % (status.encode(), len(body), body)


@contextmanager
def server(answer: Callable[[socket.socket], object]) -> Iterator[str]:
    """Accept one call, read it whole, let `answer` answer it."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        try:
            connection, _ = listener.accept()
        except OSError:
            return
        with connection:
            call = b""
            while not call.endswith(b"</methodCall>\n"):
                call += connection.recv(65536)
            try:
                answer(connection)
            except OSError:
                return  # the client left: that is what some tests are about

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/RPC2"
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join()


def ask(answer: bytes, **limits: float) -> list[bytes]:
    with server(lambda connection: connection.sendall(answer)) as endpoint:
        return list(pool(Source(endpoint, "user:secret", **limits), "vmpool.infoextended", tag="VM"))


def test_elements_arrive_unescaped_once() -> None:
    """A name with `&amp;` would else come out as `&`, and one with `&lt;` as a tag."""
    xml = "<VM_POOL><VM><NAME>a&amp;lt;b</NAME></VM><VM><X><![CDATA[</VM>é]]></X></VM></VM_POOL>"
    assert ask(http(success(xml))) == [
        b"<VM><NAME>a&amp;lt;b</NAME></VM>",
        "<VM><X>&lt;/VM&gt;é</X></VM>".encode(),
    ]


def test_an_untyped_value_is_a_string() -> None:
    """XML-RPC allows a string without its type; other servers write it so."""
    answer = success("<VM_POOL/>").replace(b"<string>", b"").replace(b"</string>", b"")
    assert ask(http(answer)) == []


@given(st.text(alphabet="&<>;#x3ab\"'é", max_size=40), st.integers(1, 9))
def test_references_survive_any_chunking(text: str, size: int) -> None:
    """An escape that two reads share must not be lost."""
    wire = escape(text, {'"': "&quot;", "'": "&#39;", "é": "&#xE9;"}).encode()
    pieces = whole_references(wire[at : at + size] for at in range(0, len(wire), size))
    assert b"".join(map(unescape, pieces)) == text.encode()


@pytest.mark.parametrize(
    ("code", "error"),
    [(0x0100, Unauthenticated), (0x0200, Unauthorised), (0x0400, NotFound), (0x0800, Refused)],
)
def test_refusals_are_typed(code: int, error: type[OnedError]) -> None:
    """A wrong password must not look like a cloud without VMs."""
    with pytest.raises(error, match=r"vmpool\.infoextended: no"):
        ask(http(failure("no", code)))


@pytest.mark.parametrize(
    "answer",
    [
        http(b"<html>502</html>", "502 Bad Gateway"),
        http(b"not XML-RPC"),
        http(b"x" * 500_000),
        http(success("<VM_POOL><VM><ID>1</ID></VM></VM_POOL>"))[:-260],
        http(failure("x", 1))[:-180],
        http(success("<!DOCTYPE a><VM_POOL/>")),
        b"rubbish\r\n\r\n",
        http(envelope("<value><boolean>1</boolean></value><value><i4>3</i4></value>")),
    ],
    ids=["status", "text", "long", "cut", "cut-failure", "doctype", "no-http", "number"],
)
def test_rubbish_is_malformed(answer: bytes) -> None:
    """Whatever a broken proxy sends is an error, never an empty pool."""
    with pytest.raises(Malformed):
        ask(answer)


def test_a_fault_is_a_refusal() -> None:
    """An older OpenNebula answers a call that it does not have with a fault: people must read which."""
    fault = b"<?xml version='1.0'?><methodResponse><fault><value><struct><member><name>faultCode</name><value><int>-506</int></value></member><member><name>faultString</name><value><string>no such method</string></value></member></struct></value></fault></methodResponse>"
    with pytest.raises(Refused, match="this OpenNebula does not have this call"):
        ask(http(fault))


def test_nobody_listens() -> None:
    """A stopped oned must read as such, with what to do."""
    with pytest.raises(Unreachable, match="is opennebula running"):
        list(pool(Source("http://127.0.0.1:1/RPC2", "u:p"), "hostpool.info", tag="HOST"))


def test_a_silent_server_times_out() -> None:
    """A hung oned must not hang the scrape."""
    with server(lambda connection: connection.recv(1)) as endpoint, pytest.raises(TimedOut):
        list(document(Source(endpoint, "u:p", read_timeout=0.2), "hostpool.info"))


def test_B6_dripping_headers_meet_the_deadline() -> None:
    """A byte of a header now and then meets no timeout of a single read: a worker would wait for ever."""

    def drip(connection: socket.socket) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\nX: ")
        while True:  # until the client leaves: then sending fails
            connection.sendall(b"x")
            time.sleep(0.02)

    with server(drip) as endpoint, pytest.raises(TimedOut):
        list(document(Source(endpoint, "u:p", deadline=0.5), "system.version"))


def test_a_dripping_server_meets_the_deadline() -> None:
    """A byte now and then resets every read's time-out, but not the deadline."""

    def drip(connection: socket.socket) -> None:
        connection.sendall(http(success("<VM_POOL>" + "x" * 10_000))[:2000])
        while True:  # until the client leaves: then sending fails
            connection.sendall(b"x")
            time.sleep(0.02)

    begun = time.monotonic()
    with server(drip) as endpoint, pytest.raises(TimedOut):
        list(document(Source(endpoint, "u:p", deadline=0.5), "hostpool.info"))
    assert time.monotonic() - begun < 20  # it ended at all: the server never does


def test_a_session_is_not_shown() -> None:
    """A password in a traceback ends in a log."""
    assert "secret" not in repr(Source("http://localhost", "user:secret"))


def parsed(*chunks: bytes) -> bytes:
    """Return the string of an answer that arrives in these pieces."""
    return b"".join(stream._string("one.x", iter(chunks)))


BEGIN = b"<boolean>1</boolean></value><value><string>"


@pytest.mark.parametrize(("margin", "read"), [(65_536 - len(BEGIN) - 1, True), (65_536 - len(BEGIN), False)])
def test_a_value_begins_within_64_kib(margin: int, read: bool) -> None:
    """An answer without an end would be kept in memory until it is refused."""
    answer = b" " * margin + BEGIN + b"text" + b"</string>"
    if read:
        assert parsed(answer) == b"text"
    else:
        with pytest.raises(Malformed, match=r"one\.x: the answer is cut or no XML-RPC"):
            parsed(answer)


@pytest.mark.parametrize(
    ("size", "reason"), [(131_072, "is cut or no XML-RPC"), (131_073, "has not the form")]
)
def test_what_is_no_answer_is_refused_early(size: int, reason: str) -> None:
    """A server that sends anything without an end would fill the memory."""
    with pytest.raises(Malformed, match=reason):
        parsed(b" " * size)


def test_an_answer_is_read_in_any_pieces() -> None:
    """A pool would be cut where a packet ends."""
    assert parsed(*(bytes((byte,)) for byte in BEGIN + b"ab</string>")) == b"ab"
    assert parsed(BEGIN[:10], BEGIN[10:] + b"a", b"b", b"c<", b"/string>") == b"abc"
    with pytest.raises(Malformed, match="is cut within its value"):
        parsed(BEGIN + b"a", b"b")


def test_a_failure_of_several_pieces_is_read_whole() -> None:
    """The reason that oned gives would be missing from the message."""
    whole = failure("[one.x] Error: " + "x" * 1000, 0x0400)
    start = whole.index(b"</boolean>") + len(b"</boolean>")
    rest = [whole[start + n : start + n + 80] for n in range(0, len(whole) - start, 80)]
    with pytest.raises(NotFound, match="x" * 100):
        parsed(whole[:start], *rest)


def test_all_vms_are_those_of_every_user() -> None:
    """VMs of other users than oneadmin, or beyond a page, would not be seen at all."""
    assert stream.ALL_VMS == (-2, -1, -1, -1, "")
