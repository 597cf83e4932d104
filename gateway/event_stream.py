"""`/v1/events`: the journal for one caller, as a page or as server-sent events (HTML standard, 9.2).

A stream begins behind Last-Event-ID, else with the next event. The caller's rights are asked of oned again
every minute, and a stream whose credential is refused ends.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator

import msgspec
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from gateway import answers, journal
from gateway.callers import Caller, Callers
from gateway.journal import Journal, Position
from gateway.records import Page
from gateway.refusals import Invalid, Refusal, TooMany
from gateway.views import Views

RECHECK = 60.0  # seconds after which rights are asked again
HEARTBEAT = 20.0  # seconds after which a silent stream gets a comment
FRESH = 1.0  # seconds: how old the pools may be that decide about an event
MOST = 64  # streams at once, a quarter of them of one user
TYPE = "text/event-stream"


def wants_stream(request: Request) -> bool:
    """Return whether a request asks for server-sent events."""
    return TYPE in request.headers.get("accept", "")


class EventStream:
    """Pages and streams of the journal."""

    def __init__(self, events: Journal, views: Views, callers: Callers, recheck: float = RECHECK) -> None:
        self._events, self._views, self._callers, self._recheck = events, views, callers, recheck
        self._open: list[int] = []  # user ids

    @property
    def open(self) -> int:
        """How many streams are open."""
        return len(self._open)

    async def page(self, request: Request, caller: Caller) -> Response:
        """Answer with the events behind `after`, or the newest ones."""
        answers.only(request, ("limit", "after"))
        after, limit = request.query_params.get("after"), answers.limit(request)
        begin = (0, 0) if after is None else journal.position(after)
        if begin is None:
            raise Invalid("after: the id of an event, as in 3.1200")
        sight = await self._views.sight(caller)
        seen = [one for _, event in self._events.after(begin) if (one := sight.event(event)) is not None]
        chosen = seen[-limit:] if after is None else seen[:limit]
        following = chosen[-1].id if after is not None and len(seen) > limit else None
        return answers.tagged(request, msgspec.json.encode(Page(chosen, len(seen), following)))

    def stream(self, request: Request, caller: Caller) -> Response:
        """Answer with a stream; raise Invalid or TooMany."""
        answers.only(request, ())
        text = request.headers.get("last-event-id", "")
        begin = journal.position(text) if text else self._events.newest()
        if begin is None:
            raise Invalid("Last-Event-ID: the id of an event, as in 3.1200")
        if self._full(caller):
            raise TooMany("too many event streams are open", retry=30)
        headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
        return StreamingResponse(
            self._send(caller, begin, resumed=bool(text)), headers=headers, media_type=TYPE
        )

    def _full(self, caller: Caller) -> bool:
        return len(self._open) >= MOST or self._open.count(caller.id) >= MOST // 4

    async def _send(self, caller: Caller, begin: Position, *, resumed: bool) -> AsyncIterator[bytes]:
        if self._full(caller):  # since it was asked for
            yield b"retry: 30000\n\n"
            return
        self._open.append(caller.id)
        try:
            yield b"retry: 3000\n\n"
            if resumed and not self._events.keeps(begin):
                begin = self._events.newest()
                yield _message("reset", begin, b"{}")  # the client reads the lists again
            async for chunk in self._follow(caller, begin):
                yield chunk
        except Refusal:
            yield b"event: end\ndata: {}\n\n"
        finally:
            self._open.remove(caller.id)

    async def _follow(self, caller: Caller, at: Position) -> AsyncIterator[bytes]:
        checked = time.monotonic()
        while True:
            if time.monotonic() - checked >= self._recheck:
                caller = await self._callers.of(caller.credential, 0.0)
                checked = time.monotonic()
            found = self._events.after(at)
            if found:
                sight = await self._views.sight(caller, FRESH)
                for position, event in found:
                    at = position
                    if (seen := sight.event(event)) is not None:
                        yield _message("change", at, msgspec.json.encode(seen))
            else:
                yield b": \n\n"
                await self._events.wait(min(HEARTBEAT, self._recheck))


def _message(kind: str, at: Position, data: bytes) -> bytes:
    return f"id: {at[0]}.{at[1]}\nevent: {kind}\ndata: ".encode() + data + b"\n\n"
