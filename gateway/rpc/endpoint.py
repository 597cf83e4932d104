"""`/RPC2`: OpenNebula's XML-RPC behind the table of calls; oned's answers are passed on as they come."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator

import anyio
import anyio.to_thread
from starlette.requests import Request as HttpRequest
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from gateway import credentials
from gateway.credentials import Credential
from gateway.gate import Gate
from gateway.guard import CALLS
from gateway.oned_calls import OnedCalls
from gateway.refusals import Refusal, Unauthorised
from gateway.rpc import table, wire
from gateway.scoped import Scopes
from onext import log
from onext.oned.connection import Connection
from onext.oned.errors import OnedError

_SMALL = 256 << 10  # bytes
_XML = "text/xml; charset=utf-8"
_log = log.get("gateway")


class Endpoint:
    """Forwards calls."""

    def __init__(self, gate: Gate, calls: OnedCalls, scopes: Scopes | None) -> None:
        self._gate, self._calls, self._scopes = gate, calls, scopes

    def routes(self) -> list[Route]:
        """Return the one route."""
        return [Route(CALLS, self._answer, methods=["POST"])]

    async def _answer(self, request: HttpRequest) -> Response:
        try:
            call = wire.read(await request.body())
            found = table.find(call.method, call.arguments)
            given = credentials.of_session(call.session)
            credential = await self._permitted(given, found)
            await self._gate.accept(credential, request)
            body = wire.encode(call.method, credential.session, call.arguments)
        except Refusal as refusal:
            code = wire.AUTHENTICATION if isinstance(refusal, Unauthorised) else wire.AUTHORISATION
            return Response(wire.refusal(f"gateway: {refusal}", code), media_type=_XML)
        return await self._forwarded(credential, call.method, body)

    async def _permitted(self, credential: Credential, call: table.Call) -> Credential:
        """Return the credential to send: of a scoped token the composed one; raise a Refusal."""
        if self._scopes is None or not self._scopes.scoped(credential):
            return credential
        return await self._scopes.compose(credential, [call])

    async def _forwarded(self, credential: Credential, method: str, body: bytes) -> Response:
        source = self._calls.source(credential)
        connection = Connection(source, method)
        chunks = connection.post(body)
        limiter = self._calls.limiter
        await limiter.acquire_on_behalf_of(connection)
        try:
            first, whole = await anyio.to_thread.run_sync(lambda: _beginning(chunks))
        except BaseException as error:
            self._end(connection)
            if not isinstance(error, OnedError):
                raise
            _log.warning("oned: %s", error)
            text = wire.refusal("gateway: OpenNebula does not answer", wire.INTERNAL)
            return Response(text, media_type=_XML)
        if whole:
            self._end(connection)
            return Response(first, media_type=_XML)
        return _Streamed(_rest(first, chunks), lambda: self._end(connection), 2 * source.deadline)

    def _end(self, connection: Connection) -> None:
        self._calls.limiter.release_on_behalf_of(connection)
        connection.close()


class _Streamed(StreamingResponse):
    """A large answer; it releases its connection to oned however it ends, also when the client is slow."""

    def __init__(self, chunks: AsyncIterator[bytes], end: Callable[[], None], seconds: float) -> None:
        super().__init__(chunks, media_type=_XML)
        self._end, self._seconds = end, seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            with anyio.move_on_after(self._seconds):
                await super().__call__(scope, receive, send)
        finally:
            self._end()


async def _rest(first: bytes, chunks: Iterator[bytes]) -> AsyncIterator[bytes]:
    while first:
        yield first
        first = await anyio.to_thread.run_sync(lambda: next(chunks, b""))


def _beginning(chunks: Iterator[bytes]) -> tuple[bytes, bool]:
    """Return what came first of an answer, and whether it is all of it: of small ones nothing is streamed."""
    parts, size = [], 0
    for chunk in chunks:
        parts.append(chunk)
        size += len(chunk)
        if size > _SMALL:
            return b"".join(parts), False
    return b"".join(parts), True
