"""Requests of the node program to endpoints, of which one is under an attacker's control."""

from __future__ import annotations

import contextlib
import hashlib
import json
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from edge import messages, server
from edge.errors import Unreachable, WrongServer
from edge.word import Server
from hooks.edge.endpoint import make_certificate
from tests.edge.test_messages import KEY, SECRET, answered

pytestmark = pytest.mark.process
HEAD = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n"
Answering = Callable[[ssl.SSLSocket], None]


class Endpoints:
    """Endpoints of one certificate, each with an answer of its own."""

    def __init__(self, folder: Path) -> None:
        key, certificate = make_certificate(folder)
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(certificate, key)
        self.digest = hashlib.sha256(ssl.PEM_cert_to_DER_cert(certificate.read_text())).hexdigest()
        self.sockets: list[socket.socket] = []

    def start(self, answering: Answering) -> Server:
        """Answer one request."""
        made = socket.create_server(("127.0.0.1", 0))
        self.sockets.append(made)
        threading.Thread(target=self._serve, args=(made, answering), daemon=True).start()
        return Server("127.0.0.1", made.getsockname()[1], self.digest)

    def _serve(self, listening: socket.socket, answering: Answering) -> None:
        with self.context.wrap_socket(listening.accept()[0], server_side=True) as stream:
            _read_request(stream)
            with contextlib.suppress(OSError):
                answering(stream)


def _read_request(stream: ssl.SSLSocket) -> None:
    """Read a whole request: an endpoint that ends with unread data resets the connection."""
    head, _, body = stream.recv(65_536).partition(b"\r\n\r\n")
    length = int(head.lower().partition(b"content-length:")[2].split()[0])
    while len(body) < length:
        body += stream.recv(65_536)


@pytest.fixture
def endpoints(tmp_path: Path) -> Iterator[Endpoints]:
    """Return endpoints."""
    made = Endpoints(tmp_path)
    yield made
    for one in made.sockets:
        one.close()


def says(body: bytes) -> Answering:
    """Return what answers with a body."""
    return lambda stream: stream.sendall(HEAD % len(body) + body)


FORGED = [
    b"{}",
    b"[" * 200_000,
    b"x" * (messages.LARGEST + 1),
    json.dumps({"body": "", "signature": ""}).encode(),
]


@pytest.mark.parametrize("forged", FORGED, ids=["empty", "deep", "large", "unsigned"])
def test_a_forged_answer_keeps_nobody_from_the_next_front_end(endpoints: Endpoints, forged: bytes) -> None:
    """One endpoint under an attacker's control kept all nodes from renewals and revocations."""
    asked = messages.Asked(SECRET, "sync", {"session": "s"})
    bad, good = endpoints.start(says(forged)), endpoints.start(says(answered(asked)))
    assert server.ask([bad, good], asked, KEY)["result"] == "ok"
    with pytest.raises(WrongServer):
        server.ask([endpoints.start(says(forged))], asked, KEY)


def test_an_error_that_is_nested_deeply_is_one_line(endpoints: Endpoints) -> None:
    """A traceback ended the node's service, and its tunnel over TLS with it."""
    body = b'{"error": ' + b"[" * 200_000
    head = (HEAD % len(body)).replace(b"200 OK", b"500 No")
    asked = messages.Asked(SECRET, "sync", {"session": "s"})
    with pytest.raises(Unreachable, match="HTTP 500"):
        server.ask([endpoints.start(lambda stream: stream.sendall(head + body))], asked, KEY)


def test_an_answer_that_drips_ends_in_time(endpoints: Endpoints) -> None:
    """The service followed neither hubs nor revoked neighbours, for as long as a byte came now and then."""
    sent = list[bytes]()

    def drip(stream: ssl.SSLSocket) -> None:
        stream.sendall(HEAD % 400)
        while len(sent) < 400:
            stream.sendall(b"x")
            sent.append(b"x")
            time.sleep(0.05)

    asked = messages.Asked(SECRET, "sync", {"session": "s"})
    with pytest.raises(Unreachable):
        server.ask([endpoints.start(drip)], asked, KEY, seconds=1.0)
    assert len(sent) < 400, "the answer was cut off"
