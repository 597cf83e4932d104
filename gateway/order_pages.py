"""Orders on the page: a form that a person confirms, and the progress of the order; without JavaScript.

The form is bound to the session (forms.read) and has its own key, so that sending it twice gives one order.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping

import msgspec
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute, Route

from gateway import forms
from gateway.actions.endpoint import Actions
from gateway.actions.ledger import RUNNING
from gateway.actions.offers import WORDS, order
from gateway.actions.orders import Order, Result, Revoke
from gateway.callers import Caller
from gateway.gate import Gate
from gateway.pages import Pages
from gateway.records import Host
from gateway.refusals import Forbidden, Invalid, Missing
from gateway.sessions import Session
from gateway.views import Views

_TOKEN = "/tokens/revoke"  # noqa: S105 - an address


class OrderPages:
    """The forms of orders and their results; each request is served for its caller."""

    def __init__(self, pages: Pages, gate: Gate, views: Views, actions: Actions) -> None:
        self._pages, self._gate, self._views, self._actions = pages, gate, views, actions

    def routes(self) -> list[BaseRoute]:
        """Return the routes of the forms."""
        about, result = "/hosts/{number:id}/orders/{action:str}", "/orders/{number:str}"
        shown = self._pages.shown
        found: list[BaseRoute] = [
            Route(about, shown(self._form)),
            Route(about, shown(self._order), methods=["POST"]),
            Route(result, shown(self._result)),
        ]
        if "revoke" in self._actions.enabled:
            found += [
                Route(_TOKEN, shown(self._token_form)),
                Route(_TOKEN, shown(self._revoke), methods=["POST"]),
            ]
        return found

    async def _form(self, request: Request, caller: Caller) -> Response:
        self._session(request)
        host, action = await self._host(request, caller), request.path_params["action"]
        offer = await self._pages.offers.about(caller, host, await self._views.incident(caller, host.id))
        if action not in offer.orders:
            raise Forbidden(offer.problem or "this is not enabled, or you do not have the right to do that")
        incident = await self._views.incident(caller, host.id) if action == "confirm" else None
        return self._pages.page(
            request, caller, "order.html", WORDS[action].label, here="", live=False, host=host,
            words=WORDS[action], key=secrets.token_urlsafe(16), incident=incident,
        )  # fmt: skip

    async def _order(self, request: Request, caller: Caller) -> Response:
        fields = await forms.read(request, self._session(request).csrf)
        host = await self._host(request, caller)
        return await self._send(request, caller, order(request.path_params["action"], host, fields), fields)

    async def _token_form(self, request: Request, caller: Caller) -> Response:
        self._session(request)
        key = secrets.token_urlsafe(16)
        return self._pages.page(
            request, caller, "revoke.html", "Revoke a token", here=_TOKEN, live=False, key=key
        )

    async def _revoke(self, request: Request, caller: Caller) -> Response:
        fields = await forms.read(request, self._session(request).csrf)
        token = "".join(fields.get("token", "").split())
        try:
            revoked = msgspec.convert({"token": token.rpartition(":")[2]}, Revoke)
        except msgspec.ValidationError:
            raise Invalid("a biscuit is expected") from None
        return await self._send(request, caller, revoked, fields)

    async def _send(
        self, request: Request, caller: Caller, given: Order, fields: Mapping[str, str]
    ) -> Response:
        _, body = await self._actions.send(request, caller, given, fields.get("key", ""))
        return RedirectResponse(f"/orders/{msgspec.json.decode(body, type=Result).id}", 303)

    async def _result(self, request: Request, caller: Caller) -> Response:
        _, body = await self._actions.result(caller, request.path_params["number"])
        result = msgspec.json.decode(body, type=Result)
        return self._pages.page(
            request, caller, "result.html", "Order", here="", result=result, running=result.state == RUNNING
        )

    def _session(self, request: Request) -> Session:
        """Return the login to which a form belongs; raise Forbidden without one."""
        session = None if "authorization" in request.headers else self._gate.session(request)
        if session is None:
            raise Forbidden("log in on the page to give orders; programs use /v1/actions")
        return session

    async def _host(self, request: Request, caller: Caller) -> Host:
        number = request.path_params["number"]
        hosts = await self._views.hosts(caller)
        host = next((one for one in hosts if one.id == number), None)
        if host is None:
            raise Missing("this host does not exist, or you may not see it")
        return host
