"""The HTTPS endpoint, as a process between strangers and a worker."""

from __future__ import annotations

import contextlib
import hashlib
import json
import socket
import ssl
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from edge import ed25519, messages, server
from edge.errors import NotReady, Unreachable, WrongServer
from edge.word import Server
from tests.fixtures_sandbox import ROOT
from tests.waiting import until

pytestmark = pytest.mark.process
SECRET, KEY = ed25519.generate(), "0" * 64


class Endpoint:
    """A running endpoint whose worker answers with fixed bytes."""

    def __init__(self, folder: Path) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.folder, self.answer, self.asked = folder, b'200\n{"x": 1}', list[bytes]()
        self.worker = socket.socket(socket.AF_UNIX)
        self.worker.bind(str(folder / "worker"))
        self.worker.listen()
        threading.Thread(target=self._work, daemon=True).start()
        words = [
            "--listen",
            f"127.0.0.1:{self.port}",
            "--state",
            str(folder),
            "--publish",
            str(folder / "public.pem"),
        ]
        self.command = [
            sys.executable,
            "-m",
            "hooks.edge.endpoint",
            *words,
            "--worker",
            str(folder / "worker"),
        ]
        self.start()

    def start(self) -> None:
        """Start the process."""
        self.process = subprocess.Popen(self.command, cwd=ROOT)
        until(self._listens, "the endpoint's port")

    def _listens(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0

    def _work(self) -> None:
        while True:
            try:
                stream, _ = self.worker.accept()
            except OSError:
                return
            with stream:
                data = b""
                while chunk := stream.recv(65_536):
                    data += chunk
                self.asked.append(data)
                stream.sendall(self.answer)

    @property
    def digest(self) -> str:
        """The hash that a token would name."""
        pem = (self.folder / "public.pem").read_text()
        return hashlib.sha256(ssl.PEM_cert_to_DER_cert(pem)).hexdigest()

    def target(self, digest: str = "") -> Server:
        """Return where the node program goes."""
        return Server("127.0.0.1", self.port, digest or self.digest)

    def connect(self) -> ssl.SSLSocket:
        """Return a connection whose handshake is done."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        return context.wrap_socket(socket.create_connection(("127.0.0.1", self.port), 20))

    def raw(self, data: bytes) -> bytes:
        """Send bytes within TLS, and return the answer."""
        with self.connect() as stream:
            stream.sendall(data)
            found = b""
            while chunk := stream.recv(65_536):
                found += chunk
        return found

    def stop(self) -> None:
        """End it."""
        self.process.kill()
        self.process.wait()


@pytest.fixture
def endpoint(tmp_path: Path) -> Iterator[Endpoint]:
    """Return an endpoint."""
    made = Endpoint(tmp_path)
    yield made
    made.stop()
    made.worker.close()


def test_a_certificate_that_the_token_does_not_name_receives_nothing(endpoint: Endpoint) -> None:
    """A man in the middle would read the token."""
    asked = messages.Asked(SECRET, "sync", {"session": "x"})
    with pytest.raises(WrongServer, match="nothing was sent"):
        server.ask([endpoint.target("0" * 64)], asked, KEY)
    assert endpoint.asked == []
    with pytest.raises(WrongServer, match="not signed"):
        server.ask([endpoint.target()], asked, KEY)
    assert endpoint.asked == [asked.data]


def test_its_certificate_survives_a_restart(endpoint: Endpoint) -> None:
    """Tokens that were given out would be worthless after each update."""
    before = endpoint.digest
    endpoint.stop()
    endpoint.start()
    assert endpoint.digest == before
    assert (endpoint.folder / "endpoint.key").stat().st_mode & 0o077 == 0


def test_what_strangers_send(endpoint: Endpoint) -> None:
    """The port is open to the Internet: one stranger must not keep nodes out."""
    with socket.create_connection(("127.0.0.1", endpoint.port)) as silent:  # it never begins TLS
        assert b" 404 " in endpoint.raw(b"GET / HTTP/1.1\r\n\r\n")
        assert b" 404 " in endpoint.raw(b"POST /edge HTTP/1.1\r\nContent-Length: -5\r\n\r\n")
        assert b" 413 " in endpoint.raw(b"POST /edge HTTP/1.1\r\nContent-Length: 70000\r\n\r\n")
        assert b" 414 " in endpoint.raw(b"GET /" + b"x" * 70_000 + b" HTTP/1.1\r\n\r\n")
        assert endpoint.asked == []
        assert b" 200 " in endpoint.raw(b"POST /edge HTTP/1.1\r\nContent-Length: 2\r\n\r\n{}")
        assert endpoint.asked == [b"{}"]
        assert silent


def test_a_crowd_that_never_finishes_its_requests(endpoint: Endpoint) -> None:
    """A stranger who sends a byte now and then on many connections would keep all nodes out for ever."""
    with contextlib.ExitStack() as held:
        crowd = [held.enter_context(endpoint.connect()) for _ in range(256)]
        over = threading.Event()

        def drip() -> None:
            while not over.wait(0.5):
                for one in crowd:
                    with contextlib.suppress(OSError):
                        one.sendall(b"G")

        def served() -> bool:
            with contextlib.suppress(OSError):
                return b" 200 " in endpoint.raw(b"POST /edge HTTP/1.1\r\nContent-Length: 2\r\n\r\n{}")
            return False

        dripping = threading.Thread(target=drip)
        dripping.start()
        try:
            until(served, "an answer to a node")
        finally:
            over.set()
            dripping.join()


def test_an_endpoint_without_room_is_asked_again() -> None:
    """Where hundreds of nodes start at once, those that find no place would give up joining."""
    with socket.create_server(("127.0.0.1", 0)) as full:

        def refuse() -> None:
            full.accept()[0].close()

        threading.Thread(target=refuse).start()
        place = Server("127.0.0.1", full.getsockname()[1], "0" * 64)
        with pytest.raises(Unreachable) as found:
            server.ask([place], messages.Asked(SECRET, "sync", {}), KEY)
    assert isinstance(found.value, NotReady)


def test_a_worker_that_cannot_answer(endpoint: Endpoint) -> None:
    """A node tries the next server where this one is no leader, and says so in one line."""
    asked = messages.Asked(SECRET, "sync", {"session": "x"})
    endpoint.answer = b"503\n" + json.dumps({"error": "does not lead\x1b[2J"}).encode()
    with pytest.raises(NotReady, match=r"does not lead\?\[2J"):
        server.ask([endpoint.target()], asked, KEY)
    endpoint.answer = b"garbage"
    with pytest.raises(NotReady, match="does not answer"):
        server.ask([endpoint.target()], asked, KEY)
    with pytest.raises(Unreachable):
        server.ask([Server("127.0.0.1", 1, "0" * 64)], asked, KEY)
