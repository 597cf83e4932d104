"""The outermost layer: what is too large never reaches the application, and every answer has its headers."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

import pytest
from starlette.types import Message, Receive, Scope, Send

from gateway import guard
from gateway.guard import LARGEST_BODY, LARGEST_CALL, LARGEST_QUERY, MOST_BYTES, Guard
from gateway.refusals import Invalid, TooLarge, TooMany

SCOPE: Scope = {"type": "http", "query_string": b""}


def receiving(*pieces: bytes) -> Receive:
    """Return a body in pieces, after which the client is gone."""
    messages: list[Message] = [
        {"type": "http.request", "body": piece, "more_body": number < len(pieces)}
        for number, piece in enumerate(pieces, 1)
    ]

    async def receive() -> Message:
        return messages.pop(0) if messages else {"type": "http.disconnect"}

    return receive


def read(*pieces: bytes, most: int = LARGEST_BODY, query: int = 0) -> bytes:
    """Return what is read of a body."""
    return asyncio.run(guard.body({**SCOPE, "query_string": b"x" * query}, receiving(*pieces), most))


def test_a_body_is_read_whole_or_refused() -> None:
    """A form of which the end is missing would be taken for a whole one."""
    assert read(b"ab", b"", b"c") == b"abc"
    assert read(b"") == b""
    with pytest.raises(Invalid, match="not complete"):
        read()

    bare: list[Message] = [{"type": "http.request"}]

    async def once() -> Message:
        return bare.pop()

    assert asyncio.run(guard.body({"type": "http"}, once, 1)) == b""


def test_bounds_of_one_request() -> None:
    """One stranger would fill the memory."""
    assert len(read(b"x" * LARGEST_BODY)) == LARGEST_BODY
    with pytest.raises(TooLarge, match=str(LARGEST_BODY)):
        read(b"x" * LARGEST_BODY, b"x", b"more")
    assert read(b"a", query=LARGEST_QUERY) == b"a"
    with pytest.raises(Invalid, match="2048 bytes"):
        read(b"a", query=LARGEST_QUERY + 1)


def test_large_bodies_have_a_bound_together(monkeypatch: pytest.MonkeyPatch) -> None:
    """A few dozen calls that never end would fill the memory; what ends gives its share back."""
    most, piece = MOST_BYTES, b"x" * LARGEST_CALL
    assert (LARGEST_BODY, LARGEST_CALL, MOST_BYTES) == (65_536, 8_388_608, 67_108_864)
    assert guard._held.bytes == 0
    monkeypatch.setattr(guard._held, "bytes", most - LARGEST_CALL)
    assert len(read(piece, most=LARGEST_CALL)) == LARGEST_CALL
    assert guard._held.bytes == most - LARGEST_CALL, "nothing is counted twice"
    half = b"x" * (LARGEST_CALL // 2)
    assert len(read(half, half, most=LARGEST_CALL)) == LARGEST_CALL
    guard._held.bytes += 1
    for pieces in ((piece,), (half, half)):
        with pytest.raises(TooMany) as found:
            read(*pieces, most=LARGEST_CALL)
        assert found.value.retry == 5
    assert guard._held.bytes == most - LARGEST_CALL + 1
    guard._held.bytes = most
    assert len(read(b"x" * LARGEST_BODY)) == LARGEST_BODY, "forms are bounded by the connections"
    with pytest.raises(TooMany):
        read(b"x" * (LARGEST_BODY + 1), most=LARGEST_CALL)


def served(
    scope: Scope, receive: Receive, headers: Iterable[tuple[bytes, bytes]] | None = ()
) -> tuple[list[Message], list[Message]]:
    """Return what an application behind the guard received twice, and what the client did."""
    seen: list[Message] = []
    sent: list[Message] = []

    async def app(_scope: Scope, inner: Receive, send: Send) -> None:
        seen.append(await inner())
        seen.append(await inner())
        head: Message = {"type": "http.response.start", "status": 200}
        await send(head if headers is None else {**head, "headers": headers})
        await send({"type": "http.response.body", "body": b"ok"})

    async def send(message: Message) -> None:
        sent.append(message)

    asyncio.run(Guard(app)(scope, receive, send))
    return seen, sent


def test_the_application_reads_the_same_body() -> None:
    """A form would be empty; and a client that goes away would never be noticed."""
    seen, sent = served(SCOPE, receiving(b"a", b"b"))
    assert seen == [
        {"type": "http.request", "body": b"ab", "more_body": False},
        {"type": "http.disconnect"},
    ]
    assert sent[1] == {"type": "http.response.body", "body": b"ok"}


def test_every_answer_has_its_headers() -> None:
    """A page of another site would frame ours, or run a script in it; a page sets some of them by itself."""
    for headers in ((), None, [(b"Content-Type", b"text/html")]):
        _, sent = served(SCOPE, receiving(b""), headers)
        names = [name.lower() for name, _ in sent[0]["headers"]]
        assert b"content-security-policy" in names
        assert b"x-content-type-options" in names
        assert len(names) == 5 + len(headers or ())
        assert "headers" not in sent[1]
    _, sent = served(SCOPE, receiving(b""), [(b"Content-Security-Policy", b"own")])
    policies = [value for name, value in sent[0]["headers"] if name.lower() == b"content-security-policy"]
    assert policies == [b"own"]


def test_what_is_refused_reaches_no_application() -> None:
    """The application would do what the client did not finish to ask."""
    seen, sent = served(SCOPE, receiving(b"x" * (LARGEST_BODY + 1)))
    assert seen == []
    assert sent[0]["status"] == 413
    assert b"content-security-policy" in dict(sent[0]["headers"])


def test_the_applications_start_and_end_pass() -> None:
    """What the application prepares when the server starts would never be prepared."""
    seen, sent = served({"type": "lifespan"}, receiving(b"a"))
    assert seen[0]["body"] == b"a"
    assert sent[0]["headers"] == ()


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
