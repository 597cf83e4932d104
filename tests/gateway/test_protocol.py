"""Bounds on a connection: heads, places and times, with a clock and a transport that the test plays."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
from uvicorn import Config
from uvicorn.server import ServerState

from gateway import protocol
from gateway.protocol import LARGEST_HEAD, MOST_FIELDS, Protocol


class Timer:
    """A call that is due later."""

    def __init__(self, seconds: float, work: Callable[[], None]) -> None:
        self.seconds, self.work, self.cancelled = seconds, work, False

    def cancel(self) -> None:
        self.cancelled = True


class Task:
    """An application that never answers by itself."""

    def add_done_callback(self, _: object) -> None:
        """Do nothing: it is never done."""


class Loop:
    """An event loop in which nothing happens by itself."""

    def __init__(self) -> None:
        self.timers: list[Timer] = []

    def call_later(self, seconds: float, work: Callable[..., None], *arguments: object) -> Timer:
        self.timers.append(Timer(seconds, lambda: work(*arguments)))
        return self.timers[-1]

    def create_task(self, work: Coroutine[Any, Any, None], **_: object) -> Task:
        work.close()
        return Task()

    @property
    def waiting(self) -> list[float]:
        """For how long what is due has."""
        return [timer.seconds for timer in self.timers if not timer.cancelled]


class Transport:
    """A connection: how much waits to be written, and how it ended."""

    def __init__(self, address: object = ("192.0.2.1", 5000)) -> None:
        self.address, self.buffered, self.ended = address, 0, ""
        self.written = b""

    def get_extra_info(self, name: str) -> object:
        return self.address if name == "peername" else None

    def is_closing(self) -> bool:
        return bool(self.ended)

    def abort(self) -> None:
        self.ended = "aborted"

    def close(self) -> None:
        self.ended = self.ended or "closed"

    def write(self, data: bytes) -> None:
        self.written += data

    def get_write_buffer_size(self) -> int:
        return self.buffered

    def pause_reading(self) -> None:
        """Stop."""

    def resume_reading(self) -> None:
        """Go on."""


class Connection:
    """A connection that was accepted."""

    def __init__(self, address: object = ("192.0.2.1", 5000), *, begin: bool = True) -> None:
        self.loop, self.transport = Loop(), Transport(address)
        config = Config(lambda *_: None, log_config=None, lifespan="off", proxy_headers=False)
        config.load()
        self.protocol = Protocol(config, ServerState(), {}, self.loop)
        if begin:
            self.protocol.connection_made(self.transport)  # type: ignore[arg-type]

    def receive(self, data: bytes) -> None:
        """Let bytes arrive."""
        self.protocol.data_received(data)

    def answer(self) -> None:
        """Let the application end its answer."""
        assert self.protocol.cycle is not None
        self.protocol.cycle.response_complete = True
        self.protocol.on_response_complete()


@pytest.fixture(autouse=True)
def places(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """Return the places, at first none is taken."""
    taken: Counter[str] = Counter()
    monkeypatch.setattr(Protocol, "_places", taken)
    return taken


HEAD = b"GET / HTTP/1.1\r\nHost: x\r\n"
POST = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n"


def test_places_of_all_and_of_one_address(monkeypatch: pytest.MonkeyPatch, places: Counter[str]) -> None:
    """One stranger would take all connections; what ends must give its place back."""
    monkeypatch.setattr(Protocol, "most", 3)
    monkeypatch.setattr(Protocol, "each", 2)
    one, two = Connection(), Connection()
    assert Connection().transport.ended == "aborted"
    other = Connection(("2001:db8::1", 1, 0, 0))
    assert places == {"192.0.2.1": 2, "2001:db8::": 1}
    late = Connection(("198.51.100.1", 1))
    assert (late.transport.ended, late.loop.waiting) == ("aborted", [])
    late.receive(HEAD)
    late.protocol.connection_lost(None)
    assert places.total() == 3, "who had no place gives none back"
    one.protocol.connection_lost(None)
    assert places == {"192.0.2.1": 1, "2001:db8::": 1}
    local = Connection(None)
    assert places["unix"] == 1
    for connection in (two, other, local):
        connection.protocol.connection_lost(None)
    assert places == {}
    assert dict(places) == {}, "addresses are forgotten"
    assert (Protocol.most, Protocol.each) == (3, 2)


def test_a_place_that_the_handshake_took_is_not_taken_twice(places: Counter[str]) -> None:
    """Each connection over TLS would count as two."""
    connection = Connection(begin=False)
    assert connection.protocol.enter(connection.transport) is True  # type: ignore[arg-type]
    connection.protocol.connection_made(connection.transport)  # type: ignore[arg-type]
    assert places == {"192.0.2.1": 1}


def test_a_head_has_seconds_from_the_connection_on() -> None:
    """A stranger who sends a byte now and then would hold a connection for ever."""
    connection = Connection()
    assert connection.loop.waiting == [10.0]
    connection.receive(HEAD)
    connection.receive(b"X: y\r\n")
    assert connection.loop.waiting == [10.0], "more bytes are no more time"
    connection.loop.timers[0].work()
    assert connection.transport.ended == "closed"
    assert connection.loop.waiting == [10.0, 20.0], "and the client has seconds to read the rest"


def test_a_request_that_came_in_time_is_served_without_a_limit() -> None:
    """A long answer would be cut off."""
    connection = Connection()
    connection.receive(HEAD + b"\r\n")
    assert connection.loop.waiting == []
    connection.answer()
    connection.receive(HEAD[:5])
    assert 10.0 in connection.loop.waiting, "the next head has its own time"
    connection.receive(HEAD[5:])
    assert connection.loop.waiting.count(10.0) == 1


def test_a_body_has_seconds_of_its_own() -> None:
    """A body of which a byte comes now and then would hold a connection for ever."""
    connection = Connection()
    connection.receive(POST)
    assert connection.loop.waiting == [30.0]
    connection.receive(b"x" * 9)
    assert connection.loop.waiting == [30.0]
    connection.receive(b"x")
    assert connection.loop.waiting == []
    late = Connection()
    late.receive(POST)
    late.loop.timers[-1].work()
    assert late.transport.ended == "closed"


def test_a_head_has_a_size() -> None:
    """A head without an end would fill the memory; a token and cookies must fit."""
    connection = Connection()
    field = b"X: " + b"y" * (LARGEST_HEAD - 1000)
    connection.receive(HEAD + field)
    assert connection.transport.ended == ""
    connection.receive(b"y" * (LARGEST_HEAD - len(HEAD + field)))
    assert connection.transport.ended == ""
    connection.receive(b"y")
    assert connection.transport.ended == "closed"
    assert b" 400 " in connection.transport.written
    assert LARGEST_HEAD == 49_152


@pytest.mark.parametrize(("count", "ended"), [(MOST_FIELDS, ""), (MOST_FIELDS + 1, "closed")])
def test_a_head_has_a_number_of_fields(count: int, ended: str) -> None:
    """Thousands of short fields take the processor more than one long one."""
    connection = Connection()
    connection.receive(b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * count + b"\r\n")
    assert connection.transport.ended == ended


def test_names_and_values_of_fields_count() -> None:
    """A head that comes in one piece has the same size; short fields with long names are as large."""
    name, value = b"x" * 24_576, b"y" * 24_576
    for more, refused in ((b"", False), (b"z", True)):
        taken = Connection()
        taken.protocol.on_message_begin()
        taken.protocol.headers = []
        if refused:
            with pytest.raises(ValueError, match="too long ones"):
                taken.protocol.on_header(name, value + more)
        else:
            taken.protocol.on_header(name, value + more)


def test_fields_behind_a_body_count_too() -> None:
    """Nothing else bounds them: they would come for ever."""
    connection = Connection()
    connection.receive(b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n")
    for _ in range(10):
        connection.receive(b"X: " + b"y" * 5000 + b"\r\n")
    assert connection.transport.ended == "closed"


def test_each_requests_head_is_counted_anew() -> None:
    """A client that keeps its connection would be ended after some requests."""
    connection = Connection()
    for _ in range(3):
        connection.receive(HEAD + b"X: " + b"y" * 30_000 + b"\r\n\r\n")
        connection.answer()
    assert connection.transport.ended == ""
    body = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 90000\r\n\r\n"
    connection.receive(body)
    for _ in range(9):
        connection.receive(b"x" * 10_000)
    assert connection.transport.ended == "", "a body has bounds of its own"


def test_a_body_behind_its_answer_is_not_wanted() -> None:
    """A client that was refused would send on without an end."""
    connection = Connection()
    connection.receive(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9000000\r\n\r\n")
    connection.answer()
    for _ in range(6):
        connection.receive(b"x" * 10_000)
    assert connection.transport.ended == "closed"


def test_a_client_that_reads_nothing_loses_its_place() -> None:
    """Unread answers would fill the memory; a slow line gets more time."""
    connection = Connection()
    connection.receive(HEAD + b"\r\n")
    connection.transport.buffered = 100_000
    connection.protocol.pause_writing()
    connection.protocol.pause_writing()
    assert connection.loop.waiting == [protocol.STALLED]
    connection.transport.buffered = 100_000 - 16_384
    connection.loop.timers[-1].work()
    assert connection.transport.ended == ""
    connection.transport.buffered = 100_000 - 16_384 - 16_383
    connection.loop.timers[-1].work()
    assert connection.transport.ended == "aborted"
    assert [timer.seconds for timer in connection.loop.timers[-2:]] == [20.0, 20.0]


def test_a_client_that_reads_again_is_left_alone() -> None:
    """A browser that was busy would lose its page."""
    connection = Connection()
    connection.receive(HEAD + b"\r\n")
    connection.transport.buffered = 100_000
    connection.protocol.pause_writing()
    connection.protocol.resume_writing()
    assert connection.loop.waiting == []
    connection.protocol.pause_writing()
    assert connection.loop.waiting == [20.0]
    connection.transport.close()
    connection.protocol.resume_writing()
    assert connection.loop.waiting == [20.0], "the rest of a connection that ends is still watched"
    connection.protocol.connection_lost(None)
    assert connection.loop.waiting == []


def test_the_last_answer_of_a_connection_is_read_in_time() -> None:
    """A stranger would hold connections that are closed and never read to their end."""
    connection = Connection()
    connection.receive(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    connection.transport.close()  # as uvicorn does with the last piece of the answer
    connection.answer()
    assert 20.0 in connection.loop.waiting
    idle = Connection()
    idle.receive(HEAD + b"\r\n")
    idle.answer()
    idle.protocol.timeout_keep_alive_handler()
    assert idle.transport.ended == "closed"
    assert 20.0 in idle.loop.waiting
    before = len(idle.loop.timers)
    idle.protocol._too_late()
    assert len(idle.loop.timers) == before, "a connection that ends is not ended again"
