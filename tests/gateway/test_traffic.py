"""Figures of what the gateway does: by kinds that are few, and of every answer."""

from __future__ import annotations

import asyncio
import time

import pytest
from starlette.requests import Request
from starlette.types import Message, Receive, Scope, Send

from gateway.traffic import Traffic


async def unused() -> Message:
    """Return nothing."""
    return {"type": "http.disconnect"}


def answered(counted: Traffic, path: str, status: int, kind: str = "http") -> list[Message]:
    """Let an application answer, and return what the client received."""
    sent: list[Message] = []

    async def app(_scope: Scope, _receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": status})
        await send({"type": "http.response.body", "body": b"x", "more_body": True})
        await send({"type": "http.response.body", "body": b"x"})

    async def send(message: Message) -> None:
        sent.append(message)

    async def serve() -> None:
        await counted.counted(app)({"type": kind, "path": path}, unused, send)

    asyncio.run(serve())
    return sent


def shown(counted: Traffic) -> dict[str, float]:
    """Return the figures."""
    (route,) = counted.routes()
    assert route.path == "/metrics"
    body = asyncio.run(counted._show(Request({"type": "http"}))).body
    lines = bytes(body).decode().splitlines()
    return {
        name: float(value) for name, _, value in (x.rpartition(" ") for x in lines if not x.startswith("#"))
    }


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/v1/vms", "api"), ("/v1/actions", "orders"), ("/v1/actions/7", "orders"), ("/v1", "page"), ("/RPC2", "rpc"),
        ("/RPC2/x", "page"), ("/", "page"), ("/users/alice", "page"),
    ],
)  # fmt: skip
def test_kinds_are_few_and_name_nobody(path: str, kind: str) -> None:
    """A path for each stranger's guess would fill Prometheus; a name in one would tell who uses the cloud."""
    counted = Traffic()
    assert len(answered(counted, path, 200)) == 3
    found = shown(counted)
    assert found[f'onext_gateway_answers_total{{kind="{kind}",status="2xx"}}'] == 1.0
    assert not any("alice" in name for name in found)


def test_each_answer_counts_once_with_its_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """An operator would not see that logins fail, or that answers become slow."""
    counted, clock = Traffic(), iter((10.0, 10.4, 20.0, 20.0))
    monkeypatch.setattr(time, "perf_counter", lambda: next(clock))
    for status in (403, 499):
        answered(counted, "/v1/vms", status)
    found = shown(counted)
    assert found['onext_gateway_answers_total{kind="api",status="4xx"}'] == 2.0
    assert found['onext_gateway_answer_seconds_count{kind="api"}'] == 2.0
    assert found['onext_gateway_answer_seconds_sum{kind="api"}'] == pytest.approx(0.4)
    bounds = [float(name.split('le="')[1].split('"')[0]) for name in found if "_bucket" in name]
    assert bounds == [
        0.001,
        0.0025,
        0.005,
        0.01,
        0.025,
        0.05,
        0.1,
        0.25,
        0.5,
        1.0,
        2.5,
        5.0,
        10.0,
        float("inf"),
    ]


def test_what_is_no_request_is_not_counted() -> None:
    """The start of the server would be an answer."""
    counted = Traffic()
    assert len(answered(counted, "/", 200, "lifespan")) == 3
    assert not any("answers_total" in name for name in shown(counted))
    counted.follow("things", "Things.", lambda: 7.0)
    assert shown(counted)["onext_gateway_things"] == 7.0
