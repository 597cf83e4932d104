"""`/v1`: lists of what the caller may see, and their description."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from gateway import answers, describe, openapi
from gateway.callers import Caller
from gateway.event_stream import EventStream, wants_stream
from gateway.gate import Gate
from gateway.refusals import Missing
from gateway.rpc import table
from gateway.views import Views

_POOLS = {
    "vms": table.find("one.vmpool.info", (-2, -1, -1, -1)),
    "hosts": table.find("one.hostpool.info", ()),
    "clusters": table.find("one.clusterpool.info", ()),
}
# What a scoped token has to permit for a list; no call returns the other lists: they are onext's own data.
_CALLS: Mapping[str, Sequence[table.Call]] = {
    "vms": [_POOLS["vms"]],
    "clusters": [_POOLS["clusters"]],
    "hosts": list(_POOLS.values()),
    "sites": list(_POOLS.values()),
}
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
            Route("/v1/vms/{number:id}", self._vm),
            Route("/v1/hosts/{number:id}", self._host),
            *(Route(f"/v1/{name}", self._list(name)) for name in self._lists),
        ]

    def _list(self, name: str) -> Callable[[Request], Awaitable[Response]]:
        async def answer(request: Request) -> Response:
            caller = await self._gate.caller(request, _CALLS.get(name, ()))
            return answers.page(request, await self._lists[name](caller), openapi.LISTS[name])

        return answer

    async def _vm(self, request: Request) -> Response:
        number = _number(request)
        caller = await self._gate.caller(request, [table.find("one.vm.info", (number,))])
        return answers.tagged(request, msgspec.json.encode(await self._views.vm(caller, number)))

    async def _host(self, request: Request) -> Response:
        number = _number(request)
        caller = await self._gate.caller(request, [table.find("one.host.info", (number,))])
        return answers.tagged(request, msgspec.json.encode(await self._views.host(caller, number)))

    async def _openapi(self, request: Request) -> Response:
        return answers.tagged(request, self._document)

    async def _geojson(self, request: Request) -> Response:
        answers.only(request, ())
        caller = await self._gate.caller(request, _CALLS["sites"])
        body = msgspec.json.encode(describe.geojson(await self._views.sites(caller)))
        return answers.tagged(request, body, "application/geo+json")

    async def _event_list(self, request: Request) -> Response:
        caller = await self._gate.caller(request)
        if wants_stream(request):
            return self._events.stream(request, caller)
        return await self._events.page(request, caller)


def _number(request: Request) -> int:
    answers.only(request, ())
    number = int(request.path_params["number"])
    if number >= 2**31:
        raise Missing("not found")
    return number
