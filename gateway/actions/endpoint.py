"""`/v1/actions`: orders of users, handed to the worker with the caller's credential; nothing is kept here.

A browser sends an Authorization header and cookies by itself. So a body has to be JSON, which another site's
page cannot send without being asked, a request of another site is refused, and with a cookie the header
X-CSRF-Token has to hold the token of the session.
"""

from __future__ import annotations

import time
from collections.abc import Collection
from dataclasses import dataclass

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from gateway import answers, forms
from gateway.actions.client import Worker
from gateway.actions.orders import KEY, ORDERS, Confirm, Frame, Order, name
from gateway.callers import Caller
from gateway.gate import Gate
from gateway.refusals import Forbidden, Invalid
from gateway.sessions import same

FRESH = 300.0  # seconds since the login for what cannot be taken back
PATH = "/v1/actions"
CSRF = "x-csrf-token"


@dataclass
class Actions:
    """Hands on what is enabled; the worker decides again."""

    gate: Gate
    worker: Worker
    enabled: Collection[str]

    def routes(self) -> list[Route]:
        """Return the routes of the API."""
        return [
            Route(PATH, self._order, methods=["POST"]),
            Route(f"{PATH}/{{number:str}}", self._result),
        ]

    async def _order(self, request: Request) -> Response:
        answers.only(request, ())
        self._require_own(request)
        if request.headers.get("content-type", "").partition(";")[0].strip().lower() != answers.JSON:
            raise Invalid(f"{answers.JSON} is expected")
        order = _read(await request.body())
        caller = await self.gate.caller(request)
        status, body = await self.send(request, caller, order, request.headers.get(KEY))
        number = msgspec.json.decode(body)["id"]
        return _fresh(body, status, {"Location": f"{PATH}/{number}"})

    async def send(
        self, request: Request, caller: Caller, order: Order, key: str | None
    ) -> tuple[int, bytes]:
        """Return what the worker answers to an order; raise a Refusal."""
        if name(order) not in self.enabled:
            raise Forbidden(f"{name(order)} is not enabled: `gateway: actions:` of onext.yaml lacks it")
        self._require_login(request, order)
        try:
            frame = msgspec.convert({"credential": caller.credential.session, "key": key}, Frame)
        except msgspec.ValidationError:
            raise Invalid(f"{KEY}: 1 to 128 visible characters of ASCII") from None
        return await self.worker.ask(msgspec.structs.replace(frame, order=order))

    async def _result(self, request: Request) -> Response:
        answers.only(request, ())
        caller = await self.gate.caller(request)
        _, body = await self.result(caller, request.path_params["number"])
        return _fresh(body, 200, {})

    async def result(self, caller: Caller, number: str) -> tuple[int, bytes]:
        """Return what the worker has recorded about an order; raise a Refusal."""
        try:
            frame = msgspec.convert({"credential": caller.credential.session, "result": number}, Frame)
        except msgspec.ValidationError:
            raise Invalid("an order's id has 32 hexadecimal digits") from None
        return await self.worker.ask(frame)

    def _require_own(self, request: Request) -> None:
        """Raise Forbidden where a page of another site sent this, or a cookie came without its token."""
        forms.require_same_site(request)
        if "authorization" in request.headers:
            return
        session = self.gate.session(request)
        if session is None:
            if self.gate.public is not None:
                raise Forbidden("log in: the public view gives no orders")
        elif not same(session.csrf, request.headers.get(CSRF, "")):
            raise Forbidden("X-CSRF-Token: the token of this session is expected")

    def _require_login(self, request: Request, order: Order) -> None:
        """Raise Forbidden for what needs a fresh login, where the session began long ago."""
        session = None if "authorization" in request.headers else self.gate.session(request)
        if isinstance(order, Confirm) and session and time.monotonic() - session.began > FRESH:
            raise Forbidden("log in again: to confirm, a login of the last five minutes is needed")


def _read(body: bytes) -> Order:
    try:
        order = ORDERS.decode(body)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        kind = error if isinstance(error, msgspec.ValidationError) else "not JSON"
        raise Invalid(f"not an order: {str(kind)[:200]}") from None
    assert isinstance(order, Order)
    return order


def _fresh(body: bytes, status: int, headers: dict[str, str]) -> Response:
    return Response(body, status, {"Cache-Control": "no-store", **headers}, answers.JSON)
