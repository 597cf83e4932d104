"""HTTP: answers, statuses, and servers that misbehave in every way; only HttpError ever leaves the module."""

import contextlib
import gzip
import itertools
import socket
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from onext import http as onext_http
from onext.http import (
    BadStatus,
    Http,
    HttpError,
    InvalidAddress,
    InvalidAnswer,
    TimedOut,
    TlsFailed,
    Unreachable,
)
from tests.fixtures_tls import certify
from tests.misbehaving import HEAD, MISBEHAVIOURS, SQUEEZED, Serve, answer, compressed, drip, servers
from tests.waiting import PATIENCE

pytestmark = pytest.mark.process


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Start servers until the end of the test."""
    with servers() as start:
        yield start


@pytest.mark.parametrize("way", MISBEHAVIOURS)
def test_B6_only_our_own_errors(serve: Serve, way: str) -> None:
    """Another library's error ends a power round, loses a webhook's event and keeps a dead source `up`."""
    behave, kind = MISBEHAVIOURS[way]
    with contextlib.closing(Http()) as http:
        outcome: object
        try:
            outcome = http.get(serve(behave), timeout=0.7)
        except Exception as error:  # noqa: BLE001 - which one it is is the question
            outcome = error
    assert isinstance(outcome, kind), repr(outcome)
    assert "127.0.0.1" in str(outcome)
    assert len(str(outcome)) < 500


@pytest.mark.parametrize("way", ["truncated body", "stalled body", "not gzip", "silence"])
def test_B6_after_a_failure_the_next_request_succeeds(serve: Serve, way: str) -> None:
    """A connection that broke must not be handed to the next request."""
    bad, turns = MISBEHAVIOURS[way][0], itertools.count()

    def behave(connection: socket.socket, ended: threading.Event) -> None:
        if next(turns):
            connection.recv(65536)
            connection.sendall(answer("200 OK", b"page"))
        elif isinstance(bad, bytes):
            connection.recv(65536)
            connection.sendall(bad)
        else:
            bad(connection, ended)

    url = serve(behave)
    with contextlib.closing(Http(connections=1)) as http:
        with pytest.raises(HttpError):
            http.get(url, timeout=0.7)
        assert http.get(url, timeout=PATIENCE).body == b"page"


@pytest.mark.parametrize(
    "url", ["", "x", "http://", "http://[::1", "http://a:b:c/", "ftp://127.0.0.1/", "http://127.0.0.1:99999/",
            "http://\ud800/", "http://" + "a" * 70 + ".example/", "file:///etc/passwd", "http://*.example/"],
)  # fmt: skip
def test_B6_addresses_that_are_none(url: str) -> None:
    """A slip in a settings file or a host's odd name is an error to report, not the end of the worker."""
    with contextlib.closing(Http()) as http, pytest.raises(HttpError):
        http.get(url, timeout=2)


@pytest.mark.parametrize("name", ["ä", "X\nY", "X: y\r\nZ"])
def test_headers_that_cannot_be_sent(name: str) -> None:
    """A password file with a line feed must not add a header of its own."""
    with contextlib.closing(Http()) as http, pytest.raises(InvalidAddress):
        http.get("http://127.0.0.1:1/", timeout=2, headers={name: "x"})


def test_an_answer(serve: Serve) -> None:
    """The main job, compressed or not; the headers are kept for whoever follows a redirect."""
    with contextlib.closing(Http()) as http:
        got = http.get(serve(answer("200 OK", b"page", "X-Kind: Test")), timeout=PATIENCE)
        assert (got.status, got.body, got.headers["x-kind"]) == (200, b"page", "Test")
        assert http.get(serve(compressed(SQUEEZED + SQUEEZED)), timeout=PATIENCE).body == b"x" * 10_000
        chunks = HEAD + b"Transfer-Encoding: chunked\r\n\r\n2\r\npa\r\n2\r\nge\r\n0\r\n\r\n"
        assert http.get(serve(chunks), timeout=PATIENCE).body == b"page"


def test_a_connection_is_kept(serve: Serve) -> None:
    """A handshake for every request of every round would be most of the cost of a round."""
    connections = []

    def behave(connection: socket.socket, _ended: threading.Event) -> None:
        connections.append(1)
        while connection.recv(65536):
            connection.sendall(HEAD + b"Content-Length: 4\r\n\r\npage")

    url = serve(behave)
    with contextlib.closing(Http()) as http:
        for _ in range(3):
            assert http.get(url, timeout=PATIENCE).body == b"page"
    assert len(connections) == 1


@pytest.mark.parametrize("status", ["302 Found", "404 Not Found", "500 Error"])
def test_other_statuses_and_redirects_are_failures(serve: Serve, status: str) -> None:
    """A tenant's exporter must not send us elsewhere; a caller may read what the server had to tell."""
    url = serve(answer(status, b"why", "Location: http://169.254.169.254/"))
    with contextlib.closing(Http()) as http, pytest.raises(BadStatus, match=f"HTTP {status[:3]}") as failure:
        http.get(url, timeout=PATIENCE)
    assert failure.value.answer.body == b"why"
    assert failure.value.answer.headers["location"] == "http://169.254.169.254/"


def test_a_status_counts_even_when_the_body_is_broken(serve: Serve) -> None:
    """401 with a truncated page is a wrong password, and has to be reported as one."""
    url = serve(b"HTTP/1.1 401 No\r\nContent-Length: 100\r\nConnection: close\r\n\r\nhalf")
    with contextlib.closing(Http()) as http, pytest.raises(BadStatus, match="HTTP 401"):
        http.get(url, timeout=PATIENCE)


def test_size_and_deadline_are_named(serve: Serve) -> None:
    """An administrator has to learn which bound was met."""
    with contextlib.closing(Http(size=1000)) as http:
        with pytest.raises(InvalidAnswer, match="more than 1000 bytes"):
            http.get(serve(answer("200 OK", b"x" * 1001)), timeout=PATIENCE)
        with pytest.raises(TimedOut, match="no complete answer in time"):
            http.get(serve(drip(HEAD + b"\r\n", b"x")), timeout=0.3)


def test_a_certificate_that_is_not_trusted(tmp_path: Path, serve: Serve) -> None:
    """The password of the request must not be sent to a stranger, and the reason must be readable."""
    certify(tmp_path)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(tmp_path / "cert.pem", tmp_path / "key.pem")
    received: list[bytes] = []

    def behave(connection: socket.socket, _ended: threading.Event) -> None:
        with tls.wrap_socket(connection, server_side=True) as secured:
            received.append(secured.recv(65536))
            secured.sendall(answer("200 OK", b"page"))

    url = serve(behave, "https")
    with contextlib.closing(Http()) as http, pytest.raises(TlsFailed, match="certificate verify failed"):
        http.get(url, timeout=PATIENCE, headers={"Authorization": "Basic c2VjcmV0"})
    assert not received
    with contextlib.closing(Http(trust=tmp_path / "cert.pem")) as http:
        assert http.get(url, timeout=PATIENCE).body == b"page"
    with (
        contextlib.closing(Http(trust=tmp_path / "missing.pem")) as http,
        pytest.raises(HttpError, match="missing"),
    ):
        http.get(url, timeout=PATIENCE)
    plain = serve(answer("200 OK", b"page"), "https")
    with contextlib.closing(Http()) as http, pytest.raises(TlsFailed):
        http.get(plain, timeout=PATIENCE)


def test_no_connection_and_no_password_in_the_message() -> None:
    """Logs are read by more people than passwords are for."""
    with (
        contextlib.closing(Http()) as http,
        pytest.raises(Unreachable, match="Connection refused") as failure,
    ):
        http.post("http://me:secret@127.0.0.1:1/hook?token=secret", b"{}", timeout=2)
    assert "secret" not in str(failure.value)


def test_a_failure_is_not_blamed_on_what_was_handled_before() -> None:
    """A retry within an `except` must report its own reason, not the first one's."""
    with contextlib.closing(Http()) as http:
        try:
            raise TimeoutError("an earlier one")  # noqa: TRY301 - the context of what follows
        except TimeoutError:
            with pytest.raises(Unreachable, match="Connection refused"):
                http.get("http://127.0.0.1:1/", timeout=2)


@given(st.binary(max_size=400), st.integers(1, 200))
def test_gzip_round_trip_and_bound(body: bytes, size: int) -> None:
    """What was compressed comes back whole, or the bound is met: never a part of it."""
    headers = {"content-encoding": "gzip"}
    if len(body) > size:
        with pytest.raises(InvalidAnswer):
            onext_http._decoded(gzip.compress(body), headers, size)
    else:
        assert onext_http._decoded(gzip.compress(body), headers, size) == body


@pytest.mark.parametrize(
    ("address", "public"),
    [
        ("9.9.9.9", True),
        ("10.0.0.1", False),
        ("127.0.0.1", False),
        ("169.254.169.254", False),
        ("224.0.0.1", False),
        ("2001:4860::8888", True),
        ("fe80::1%eth0", False),
        ("::ffff:10.0.0.1", False),
        ("::ffff:9.9.9.9", True),
        ("2002:0a00:0001::", False),
        ("2002:0909:0909::", True),
        ("fd00::1", False),
        ("ff0e::1", False),
    ],
)
def test_S13_an_address_within_another_counts_as_itself(address: str, public: bool) -> None:
    """A webhook of a tenant would reach the front-end's own services, or none that exists."""
    assert onext_http.is_public(address) is public


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("http://a:b@host/x?token=1", "host/x"),
        ("http://host/x?token=1", "http://host/x"),
        ("http://host/x?a=b@c", "http://host/x"),
    ],
)
def test_an_address_is_shown_without_what_is_secret(url: str, shown: str) -> None:
    """A password in the log is everybody's."""
    assert onext_http._shown(url) == shown


@pytest.mark.parametrize(
    ("encoding", "body", "size", "expected"),
    [
        ("", b"abc", 1, b"abc"),
        (" Identity ", b"abc", 1, b"abc"),
        ("br", b"", 1, b""),
        ("x-gzip", gzip.compress(b"abc", mtime=0), 3, b"abc"),
        ("GZIP", gzip.compress(b"ab", mtime=0) + gzip.compress(b"c", mtime=0), 3, b"abc"),
        (
            "gzip",
            gzip.compress(b"ab", mtime=0) + gzip.compress(b"cd", mtime=0),
            3,
            "an answer of more than 3 bytes",
        ),
        ("gzip", gzip.compress(b"abcd", mtime=0), 3, "an answer of more than 3 bytes"),
        ("gzip", gzip.compress(b"abc", mtime=0)[:-1], 3, "the compressed answer is truncated"),
        ("gzip", b"abc", 3, "the compressed answer is damaged: "),
        ("b" * 41, b"abc", 3, f"Content-Encoding '{'b' * 40}', which was not requested"),
    ],
)
def test_an_encoded_body_is_decoded_within_its_bound(
    encoding: str, body: bytes, size: int, expected: bytes | str
) -> None:
    """A page of a few kilobytes unpacks to gigabytes, or half of it is taken for the whole."""
    headers = {"content-encoding": encoding} if encoding else {}
    if isinstance(expected, bytes):
        assert onext_http._decoded(body, headers, size) == expected
    else:
        with pytest.raises(InvalidAnswer) as refused:
            onext_http._decoded(body, headers, size)
        assert str(refused.value).startswith(expected)


@pytest.mark.parametrize(("status", "size"), [(200, 1_048_576), (500, 65_536)])
def test_a_body_of_exactly_the_bound_is_read(serve: Serve, status: int, size: int) -> None:
    """The largest page that is allowed would be refused, or a larger one fill the memory."""

    def ask(length: int) -> bytes:
        with contextlib.closing(Http()) as http:
            try:
                return http.get(serve(answer(f"{status} x", b"x" * length)), timeout=PATIENCE).body
            except BadStatus as failure:
                return failure.answer.body

    assert len(ask(size)) == size
    if status == 200:
        with pytest.raises(InvalidAnswer, match=f"an answer of more than {size} bytes"):
            ask(size + 1)
    else:
        assert ask(size + 1) == b"", "the status is what counts"
