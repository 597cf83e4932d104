"""The outermost layer of the application: bounds on every request, and headers on every answer."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gateway.answers import problem
from gateway.refusals import Invalid, Refusal, TooLarge, TooMany

LARGEST_QUERY = 2048  # bytes
LARGEST_BODY = 64 << 10  # bytes, of forms
MOST_BYTES = 64 << 20  # of all bodies that are being received
LARGEST_CALL = 8 << 20  # bytes, of XML-RPC: a template, or a file in it
CALLS = "/RPC2"
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self';"
    " form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
_HEADERS = (
    (b"content-security-policy", _POLICY.encode()),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"same-origin"),  # with no-referrer a form has no Origin
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
)


@dataclass
class _Held:
    """The number of bytes reserved for large bodies that are being received."""

    bytes: int = 0


_held = _Held()


class Guard:
    """Refuses what is too large or too slow before the application reads it."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request within the bounds."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def decorated(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", ()), *_missing(message.get("headers", ()))]
            await send(message)

        try:
            received = await body(scope, receive, LARGEST_BODY)
        except Refusal as refusal:
            await problem(refusal)(scope, receive, decorated)
            return
        await self._app(scope, _replayed(received, receive), decorated)


async def body(scope: Scope, receive: Receive, most: int) -> bytes:
    """Return the whole body; raise TooLarge, TooMany, or Invalid where it is incomplete or late."""
    if len(scope.get("query_string", b"")) > LARGEST_QUERY:
        raise Invalid(f"more than {LARGEST_QUERY} bytes behind the question mark")
    found, counted, more = bytearray(), 0, True
    try:
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                raise Invalid("the body is not complete")
            found += message.get("body", b"")
            more = message.get("more_body", False)
            if len(found) > most:
                raise TooLarge(f"a body of more than {most} bytes")
            if len(found) > LARGEST_BODY:  # smaller ones are bounded by the connections
                _held.bytes, counted = _held.bytes + len(found) - counted, len(found)
            if counted and _held.bytes > MOST_BYTES:
                raise TooMany("too many large requests at once", retry=5)
        return bytes(found)
    finally:
        _held.bytes -= counted


def _replayed(received: bytes, receive: Receive) -> Receive:
    first: list[Message] = [{"type": "http.request", "body": received, "more_body": False}]

    async def replay() -> Message:
        return first.pop() if first else await receive()

    return replay


def _missing(headers: Iterable[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    given = {name.lower() for name, _ in headers}
    return [pair for pair in _HEADERS if pair[0] not in given]
