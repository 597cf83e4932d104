"""`/v1`: lists of what the caller may see, and their description."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from gateway import answers, describe, openapi
from gateway.callers import Caller
from gateway.event_stream import EventStream, wants_stream
from gateway.gate import Gate
from gateway.views import Views

List = Callable[[Caller], Awaitable[list[Any]]]


class Api:
    """The read-only API."""

    def __init__(self, gate: Gate, views: Views, events: EventStream, version: str) -> None:
        self._gate, self._views, self._events = gate, views, events
        self._document = openapi.document(version)
        self._lists: Mapping[str, List] = {name: getattr(views, name) for name in openapi.LISTS}

    def routes(self) -> list[Route]:
        """Return the routes below /v1."""
        return [
            Route("/v1/openapi.json", self._openapi),
            Route("/v1/sites.geojson", self._geojson),
            Route("/v1/events", self._event_list),
            *(Route(f"/v1/{name}", self._list(name)) for name in self._lists),
        ]

    def _list(self, name: str) -> Callable[[Request], Awaitable[Response]]:
        async def answer(request: Request) -> Response:
            caller = await self._gate.caller(request)
            return answers.page(request, await self._lists[name](caller), openapi.LISTS[name])

        return answer

    async def _openapi(self, request: Request) -> Response:
        return answers.tagged(request, self._document)

    async def _geojson(self, request: Request) -> Response:
        answers.only(request, ())
        caller = await self._gate.caller(request)
        body = msgspec.json.encode(describe.geojson(await self._views.sites(caller)))
        return answers.tagged(request, body, "application/geo+json")

    async def _event_list(self, request: Request) -> Response:
        caller = await self._gate.caller(request)
        if wants_stream(request):
            return self._events.stream(request, caller)
        return await self._events.page(request, caller)
