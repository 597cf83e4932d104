"""The application: what is served where, and how failures are answered."""

from __future__ import annotations

import asyncio
import contextlib
import traceback
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import BaseRoute, Route
from starlette.types import ASGIApp, Receive, Scope, Send

from gateway import object_id
from gateway.actions.client import Worker
from gateway.actions.endpoint import Actions
from gateway.actions.offers import Offers
from gateway.answers import problem
from gateway.api import Api
from gateway.callers import Callers
from gateway.credentials import Credential
from gateway.event_stream import EventStream
from gateway.gate import Gate
from gateway.guard import CALLS, Guard
from gateway.journal import Journal
from gateway.limits import Buckets
from gateway.oned_calls import OnedCalls
from gateway.order_pages import OrderPages
from gateway.own_data import OwnData
from gateway.pages import Pages
from gateway.pools import Pools
from gateway.refusals import Elsewhere, Missing, Refusal
from gateway.rpc.endpoint import Endpoint
from gateway.rpc.upstream import Upstream
from gateway.scoped import Scopes
from gateway.sessions import Sessions
from gateway.traffic import Traffic
from gateway.views import Views
from gateway.watts_history import WattsHistory
from onext import log
from onext.settings.gateway import Gateway

BURST = 5  # times the requests of a second
_log = log.get("gateway")


@dataclass
class Deployment:
    """What one gateway works with."""

    settings: Gateway
    endpoint: str
    timeout: float
    published: Path
    targets: Path
    version: str
    public: Credential | None = None
    tls: bool = False
    scoped_key: str = field(default="", repr=False)  # a private key; empty: no scoped tokens
    worker: Path = field(default=Path("/run/onext/gateway/actions.sock"))  # where it takes orders
    follow: Callable[[], None] = field(default=lambda: None)  # called every minute


def application(deployment: Deployment) -> ASGIApp:
    """Return the application of a deployment."""
    settings = deployment.settings
    calls = OnedCalls(deployment.endpoint, settings.oned_connections, deployment.timeout)
    own, events = OwnData(deployment.published, deployment.targets), Journal(deployment.published)
    callers = Callers(calls, own.servers)
    views = Views(Pools(calls), own)
    requests = Buckets(settings.requests, settings.requests * BURST)
    scopes = Scopes.of(deployment.scoped_key, own.keys) if deployment.scoped_key else None
    gate = Gate(callers, Sessions(settings.session_hours), requests, deployment.public, scopes)
    stream = EventStream(events, views, callers)
    api = Api(gate, views, stream, deployment.version)
    history = WattsHistory(own.watts)
    worker = Worker(deployment.worker)
    actions = Actions(gate, worker, settings.actions)
    pages = Pages(gate, views, history, Offers(worker, settings.actions), tls=deployment.tls)

    def every_minute() -> None:
        deployment.follow()
        history.sample()

    object_id.register()
    routes: list[BaseRoute] = [Route("/-/healthy", _healthy), *api.routes()]
    traffic = Traffic()
    traffic.follow("oned_calls", "Calls to oned under way.", lambda: calls.limiter.borrowed_tokens)
    traffic.follow("event_streams", "Event streams that are open.", lambda: stream.open)
    if settings.metrics:
        routes += traffic.routes()
    routes += [*actions.routes(), *OrderPages(pages, gate, views, actions).routes(), *pages.routes()]
    pages_and_api = Starlette(
        routes=routes,
        middleware=[Middleware(Guard), Middleware(GZipMiddleware, minimum_size=1024)],
        exception_handlers={Refusal: _refused, HTTPException: _not_routed, Exception: _failed},
        lifespan=_lifespan(events, every_minute),
    )
    pages_and_api.router.redirect_slashes = False  # it would lead to the host that the client names
    app: ASGIApp = _silenced(pages_and_api)
    if settings.rpc:
        app = _split(app, _endpoint(deployment, gate, calls, scopes))
    return traffic.counted(app) if settings.metrics else app


def _silenced(app: ASGIApp) -> ASGIApp:
    """Return an application that raises no exception to the server: `_failed` has answered and logged it."""

    async def serve(scope: Scope, receive: Receive, send: Send) -> None:
        with contextlib.suppress(Exception):  # the server would log a traceback, which may quote a secret
            await app(scope, receive, send)

    return serve


def _endpoint(deployment: Deployment, gate: Gate, calls: OnedCalls, scopes: Scopes | None) -> ASGIApp:
    """Return what serves the guarded XML-RPC; made in the event loop, at the first call."""
    made: list[Endpoint] = []

    async def serve(scope: Scope, receive: Receive, send: Send) -> None:
        if not made:
            seconds = 2 * deployment.timeout
            upstream = Upstream(deployment.endpoint, calls.limiter, seconds)
            made.append(Endpoint(gate, upstream, scopes, 2 * seconds))
        await made[0](scope, receive, send)

    return serve


def _split(app: ASGIApp, calls: ASGIApp) -> ASGIApp:
    async def serve(scope: Scope, receive: Receive, send: Send) -> None:
        chosen = calls if scope["type"] == "http" and scope["path"] == CALLS else app
        await chosen(scope, receive, send)

    return serve


def _lifespan(
    events: Journal, follow: Callable[[], None]
) -> Callable[[Starlette], contextlib.AbstractAsyncContextManager[None]]:
    @contextlib.asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[None]:
        events.look()
        tasks = [asyncio.create_task(events.follow()), asyncio.create_task(_every_minute(follow))]
        yield
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    return lifespan


async def _every_minute(work: Callable[[], None]) -> None:
    while True:
        work()
        await asyncio.sleep(60)


async def _healthy(_request: Request) -> Response:
    return PlainTextResponse("healthy\n")


def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, Refusal)
    scripted = request.headers.get("sec-fetch-dest", "document") != "document"  # a page's, not a person's
    answer = problem(error, challenge=not scripted)
    if isinstance(error, Elsewhere):
        answer.headers["Location"] = error.location
    return answer


def _not_routed(_request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    refusal = Missing("this page does not exist") if error.status_code == 404 else Refusal(error.detail)
    refusal.status = error.status_code
    return problem(refusal)


def _failed(request: Request, error: Exception) -> Response:
    """Answer after an unexpected exception; the log names the path, and nothing else that the client sent."""
    place = traceback.extract_tb(error.__traceback__)[-1]
    _log.error(
        "%s %.100r: a fault of the gateway: %s in %s:%s",
        request.method, request.url.path, type(error).__name__, place.filename, place.lineno,
    )  # fmt: skip
    refusal = Refusal("a fault of the gateway; its log has more")
    refusal.status = 500
    return problem(refusal)
