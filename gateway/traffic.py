"""What the gateway does, in figures: requests by kind and answer, their time, streams and calls to oned.

Labels are bounded: no path, user or address is among them.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

PATH = "/metrics"
_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


class Traffic:
    """The figures of one process."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._answers = Counter(
            "onext_gateway_answers", "Answers.", ("kind", "status"), registry=self._registry
        )
        self._seconds = Histogram(
            "onext_gateway_answer_seconds",
            "Seconds from a request's head to the head of its answer.",
            ("kind",),
            registry=self._registry,
            buckets=_BUCKETS,
        )

    def follow(self, name: str, text: str, value: Callable[[], float]) -> None:
        """Add a figure that is read when it is asked for."""
        Gauge(f"onext_gateway_{name}", text, registry=self._registry).set_function(value)

    def counted(self, app: ASGIApp) -> ASGIApp:
        """Return an application whose answers are counted."""

        async def serve(scope: Scope, receive: Receive, send: Send) -> None:
            if scope["type"] != "http":
                await app(scope, receive, send)
                return
            kind, began = _kind(scope["path"]), time.perf_counter()

            async def counting(message: Message) -> None:
                if message["type"] == "http.response.start":
                    self._answers.labels(kind, f"{message['status'] // 100}xx").inc()
                    self._seconds.labels(kind).observe(time.perf_counter() - began)
                await send(message)

            await app(scope, receive, counting)

        return serve

    def routes(self) -> list[Route]:
        """Return the route of the figures."""
        return [Route(PATH, self._show)]

    async def _show(self, _request: Request) -> Response:
        return Response(generate_latest(self._registry), media_type="text/plain; version=0.0.4")


def _kind(path: str) -> str:
    """Return what is asked for, in one of few words."""
    if path.startswith("/v1/"):
        return "orders" if path.startswith("/v1/actions") else "api"
    return "rpc" if path == "/RPC2" else "page"
