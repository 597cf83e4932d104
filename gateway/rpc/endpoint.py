"""`/RPC2`: OpenNebula's XML-RPC behind the table of calls; oned's answers are passed on as they come.

An ASGI application of its own, beside the API and the page: their layers cost more than a small call.
"""

from __future__ import annotations

from collections.abc import AsyncIterator

import anyio
from starlette.requests import Request
from starlette.types import Receive, Scope, Send

from gateway import credentials, guard
from gateway.credentials import Credential
from gateway.gate import Gate
from gateway.refusals import Refusal, Unauthorised
from gateway.rpc import table, wire
from gateway.rpc.upstream import Answer, Upstream
from gateway.scoped import Scopes
from onext import log
from onext.oned.errors import OnedError

_SMALL = 256 << 10  # bytes
_XML = (b"content-type", b"text/xml; charset=utf-8")
_NOSNIFF = (b"x-content-type-options", b"nosniff")
_log = log.get("gateway")


class Endpoint:
    """Forwards calls; `slow` is how many seconds a client has to take an answer."""

    def __init__(self, gate: Gate, upstream: Upstream, scopes: Scopes | None, slow: float) -> None:
        self._gate, self._upstream, self._scopes, self._slow = gate, upstream, scopes, slow

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["method"] != "POST":
            await _send(send, b"POST a call of XML-RPC\n", status=405)
            return
        try:
            body = await guard.body(scope, receive, guard.LARGEST_CALL)
        except Refusal as refusal:
            await _send(send, f"{refusal}\n".encode(), status=refusal.status)
            return
        try:
            answer = await self._upstream.call(await self._accepted(scope, body))
        except Refusal as refusal:
            code = wire.AUTHENTICATION if isinstance(refusal, Unauthorised) else wire.AUTHORISATION
            await _send(send, wire.refusal(f"gateway: {refusal}", code))
        except OnedError as error:
            await _send(send, _silent(error))
        except Exception as error:  # noqa: BLE001 - no traceback: its lines may quote a session
            _log.error("/RPC2: a fault of the gateway: %s", type(error).__name__)
            await _send(send, wire.refusal("gateway: a fault of the gateway", wire.INTERNAL))
        else:
            await self._pass_on(answer, send)

    async def _accepted(self, scope: Scope, body: bytes) -> bytes:
        """Return the call as oned is sent it; raise a Refusal."""
        call = wire.read(body)
        found = table.find(call.method, call.arguments)
        credential = await self._permitted(credentials.of_session(call.session), found)
        await self._gate.accept(credential, Request(scope))
        return wire.encode(call.method, credential.session, call.arguments)

    async def _permitted(self, credential: Credential, call: table.Call) -> Credential:
        """Return the credential to send: of a scoped token the composed one; raise a Refusal."""
        if self._scopes is None or not self._scopes.scoped(credential):
            return credential
        return await self._scopes.compose(credential, [call])

    async def _pass_on(self, answer: Answer, send: Send) -> None:
        """Send an answer: a small one whole, of a large one the pieces as they come."""
        chunks, parts, size = answer.chunks(), [], 0
        try:
            async for chunk in chunks:
                parts.append(chunk)
                size += len(chunk)
                if size > _SMALL:
                    with anyio.move_on_after(self._slow):
                        await self._stream(b"".join(parts), chunks, send)
                    return
        except OnedError as error:
            parts = [_silent(error)]
        finally:
            answer.end()
        await _send(send, b"".join(parts))

    async def _stream(self, first: bytes, rest: AsyncIterator[bytes], send: Send) -> None:
        """Send an answer of unknown length; one that is cut ends the connection, so that clients see it."""
        await _begin(send)
        await send({"type": "http.response.body", "body": first, "more_body": True})
        try:
            async for chunk in rest:
                await send({"type": "http.response.body", "body": chunk, "more_body": True})
        except OnedError as error:
            _log.warning("oned: %s", error)
        else:
            await send({"type": "http.response.body", "body": b""})


def _silent(error: OnedError) -> bytes:
    _log.warning("oned: %s", error)
    return wire.refusal("gateway: OpenNebula does not answer", wire.INTERNAL)


async def _begin(send: Send, length: int | None = None, status: int = 200) -> None:
    headers = [_XML if status == 200 else (b"content-type", b"text/plain"), _NOSNIFF]
    if length is not None:
        headers.append((b"content-length", b"%d" % length))
    await send({"type": "http.response.start", "status": status, "headers": headers})


async def _send(send: Send, body: bytes, status: int = 200) -> None:
    await _begin(send, len(body), status)
    await send({"type": "http.response.body", "body": body})
