"""The HTTPS endpoint, as a process between strangers and a worker."""

from __future__ import annotations

import contextlib
import json
import socket
import threading

import pytest

from edge import ed25519, messages, server
from edge.errors import NotReady, Unreachable, WrongServer
from edge.word import Server
from tests.hooks.edge.running_endpoint import Endpoint
from tests.waiting import until

pytestmark = pytest.mark.process
SECRET, KEY = ed25519.generate(), "0" * 64


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


def test_a_front_end_that_does_not_answer_is_left_in_its_time(endpoint: Endpoint) -> None:
    """A tunnel that died during a request kept the service from the way over TLS for minutes."""
    silent = threading.Event()
    endpoint.delay = silent
    asked = messages.Asked(SECRET, "sync", {"session": "x"})
    with pytest.raises(Unreachable, match="timed out"):
        server.ask([endpoint.target()], asked, KEY, seconds=0.3)
    silent.set()


def test_a_worker_that_cannot_answer(endpoint: Endpoint) -> None:
    """A node tries the next server where this one does not lead, and reports it in one line."""
    asked = messages.Asked(SECRET, "sync", {"session": "x"})
    endpoint.answer = b"503\n" + json.dumps({"error": "does not lead\x1b[2J"}).encode()
    with pytest.raises(NotReady, match=r"does not lead\?\[2J"):
        server.ask([endpoint.target()], asked, KEY)
    endpoint.answer = b"garbage"
    with pytest.raises(NotReady, match="does not answer"):
        server.ask([endpoint.target()], asked, KEY)
    with pytest.raises(Unreachable):
        server.ask([Server("127.0.0.1", 1, "0" * 64)], asked, KEY)
