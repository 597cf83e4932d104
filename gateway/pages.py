"""The page for people: rendered here, usable without JavaScript; static/live.js replaces its content."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles

from gateway import credentials, forms, page_data, plots, projection
from gateway.actions.offers import WORDS, Offer, Offers
from gateway.callers import Caller
from gateway.gate import Gate
from gateway.records import Host
from gateway.refusals import Elsewhere, Missing, Refusal, Unauthorised
from gateway.sessions import COOKIE
from gateway.views import Views
from gateway.watts_history import WattsHistory

HERE = Path(__file__).parent
_LOGIN = "onext_login"  # cookie with the token of the login form
_HTML = "text/html; charset=utf-8"
Show = Callable[[Request, Caller], Awaitable[Response]]


def environment() -> Environment:
    """Return the templates; all text is escaped."""
    made = Environment(
        loader=FileSystemLoader(HERE / "templates"), autoescape=True, undefined=StrictUndefined
    )
    made.filters.update(page_data.FILTERS)
    return made


class Pages:
    """The page's parts for one caller each."""

    def __init__(self, gate: Gate, views: Views, history: WattsHistory, offers: Offers, *, tls: bool) -> None:
        self._gate, self._views, self._history, self._tls = gate, views, history, tls
        self.offers = offers
        self._templates = environment()

    def routes(self) -> list[BaseRoute]:
        """Return the routes of the page."""
        return [
            Route("/", self.shown(self._map)),
            Route("/hosts/{number:id}", self.shown(self._host)),
            Route("/incidents", self.shown(self._incidents)),
            Route("/power", self.shown(self._power)),
            Route("/login", self._login_form),
            Route("/login", self._log_in, methods=["POST"]),
            Route("/logout", self._log_out, methods=["POST"]),
            Mount("/static", StaticFiles(directory=HERE / "static")),
        ]

    def shown(self, show: Show) -> Callable[[Request], Awaitable[Response]]:
        """Return the handler of a page: without a login it shows the login form, and refusals are pages."""

        async def answer(request: Request) -> Response:
            try:
                caller = await self._gate.caller(request)
                return await show(request, caller)
            except Unauthorised:
                if "authorization" in request.headers:
                    raise
                self._gate.sessions.end(request.cookies.get(COOKIE))
                return RedirectResponse("/login", 303)
            except Refusal as refusal:
                return self.problem(refusal)

        return answer

    async def _map(self, request: Request, caller: Caller) -> Response:
        hosts, sites, tunnels, vms = await asyncio.gather(
            self._views.hosts(caller),
            self._views.sites(caller),
            self._views.tunnels(caller),
            self._views.vms(caller),
        )
        site = request.query_params.get("site", "")
        chosen = next((one for one in sites if one.id == site), None)
        listed = [host for host in hosts if chosen is None or host.id in chosen.host_ids]
        return self.page(
            request, caller, "map.html", "Sites", here="/",
            counts=page_data.counts(hosts), marks=page_data.marks(sites), tunnels=tunnels,
            lines=page_data.lines(tunnels, hosts), hosts=listed, vms=len(vms),
            site=chosen.id if chosen else "", width=projection.WIDTH, height=projection.HEIGHT,
        )  # fmt: skip

    async def _host(self, request: Request, caller: Caller) -> Response:
        number = request.path_params["number"]
        hosts, vms = await asyncio.gather(self._views.hosts(caller), self._views.vms(caller))
        host = next((one for one in hosts if one.id == number), None)
        if host is None:
            raise Missing("this host does not exist, or you may not see it")
        watts = plots.line(self._history.of(number)) if caller.administrator else None
        here = [one for one in vms if one.host_id == number]
        return self.page(
            request, caller, "host.html", host.name, here="", host=host, vms=here, watts=watts, words=WORDS,
            offer=await self._offer(request, caller, host),
        )  # fmt: skip

    async def _offer(self, request: Request, caller: Caller, host: Host) -> Offer:
        """Return the orders that the caller may give here; none without a login on the page."""
        if "authorization" in request.headers or self._gate.session(request) is None:
            return Offer()
        return await self.offers.about(caller, host, await self._views.incident(caller, host.id))

    async def _incidents(self, request: Request, caller: Caller) -> Response:
        incidents = await self._views.ha(caller)
        return self.page(
            request, caller, "incidents.html", "Incidents", here="/incidents", incidents=incidents
        )

    async def _power(self, request: Request, caller: Caller) -> Response:
        energy, plans = await asyncio.gather(self._views.energy(caller), self._views.power(caller))
        clusters = [(one, plots.line([(sample.at, sample.on) for sample in one.day])) for one in energy]
        return self.page(
            request, caller, "power.html", "Power", here="/power", clusters=clusters, plans=plans
        )

    async def _login_form(self, _request: Request) -> Response:
        return self._login_page("", 200)

    def _login_page(self, problem: str, status: int) -> Response:
        token = secrets.token_urlsafe(24)
        text = self._templates.get_template("login.html").render(
            title="Log in", live=False, user="", csrf="", public=False, here="", token=token, problem=problem,
            revoke=False,
        )  # fmt: skip
        answer = Response(text, status, {"Cache-Control": "no-store"}, _HTML)
        answer.set_cookie(
            _LOGIN, token, 3600, path="/login", secure=self._tls, httponly=True, samesite="strict"
        )
        return answer

    async def _log_in(self, request: Request) -> Response:
        try:
            fields = await forms.read(request, request.cookies.get(_LOGIN, ""))
            given = credentials.of_session(f"{fields.get('user', '')}:{fields.get('secret', '')}")
            await self._gate.accept(given, request, 0.0)
        except Refusal as refusal:
            return self._login_page(str(refusal), refusal.status if refusal.status != 401 else 403)
        self._gate.sessions.end(request.cookies.get(COOKIE))
        answer = RedirectResponse("/", 303)
        name = self._gate.sessions.begin(given)
        answer.set_cookie(COOKIE, name, path="/", secure=self._tls, httponly=True, samesite="lax")
        answer.delete_cookie(_LOGIN, path="/login")
        return answer

    async def _log_out(self, request: Request) -> Response:
        session = self._gate.session(request)
        try:
            await forms.read(request, session.csrf if session else "")
        except Refusal as refusal:
            return self.problem(refusal)
        self._gate.sessions.end(request.cookies.get(COOKIE))
        answer = RedirectResponse("/login", 303)
        answer.delete_cookie(COOKIE, path="/")
        return answer

    def problem(self, refusal: Refusal) -> Response:
        """Return the page of a refusal."""
        text = self._templates.get_template("problem.html").render(
            title="Not served", problem=str(refusal), live=False, user="", csrf="", public=False, here="",
            revoke=False, leader=refusal.origin if isinstance(refusal, Elsewhere) else "",
        )  # fmt: skip
        return Response(text, refusal.status, {"Cache-Control": "no-store"}, _HTML)

    def page(
        self,
        request: Request,
        caller: Caller,
        template: str,
        title: str,
        *,
        here: str,
        live: bool = True,
        **values: Any,  # noqa: ANN401
    ) -> Response:
        """Return a page for a caller."""
        session = self._gate.session(request) if "authorization" not in request.headers else None
        text = self._templates.get_template(template).render(
            title=title, here=here, live=live, user=caller.name, csrf=session.csrf if session else "",
            public=session is None and caller.credential == self._gate.public,
            revoke=session is not None and self.offers.revokes, **values,
        )  # fmt: skip
        headers = {"Cache-Control": "private, no-store", "Vary": "Authorization, Cookie"}
        return Response(text, 200, headers, _HTML)
