"""Who a request is from: an Authorization header, the cookie of a login, or the public user."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from starlette.requests import Request

from gateway import credentials
from gateway.callers import Caller, Callers
from gateway.credentials import Credential
from gateway.limits import FAILED_BURST, FAILED_PER_SECOND, Buckets
from gateway.refusals import Forbidden, Refusal, Unauthorised
from gateway.rpc.table import Call
from gateway.scoped import Scopes
from gateway.sessions import COOKIE, Session, Sessions
from onext.client_network import network

_REMEMBERED = 4096  # credentials that were accepted before


@dataclass
class Gate:
    """Authenticates requests and counts them."""

    callers: Callers
    sessions: Sessions
    requests: Buckets
    public: Credential | None = None
    scopes: Scopes | None = None
    failed: Buckets = field(default_factory=lambda: Buckets(FAILED_PER_SECOND, FAILED_BURST))
    _accepted: OrderedDict[bytes, None] = field(default_factory=OrderedDict)  # digests of credentials

    def session(self, request: Request) -> Session | None:
        """Return the login of a request's cookie."""
        return self.sessions.get(request.cookies.get(COOKIE))

    def credential(self, request: Request) -> Credential:
        """Return the credential of a request; raise Unauthorised without one."""
        headers = request.headers.getlist("authorization")
        if len(headers) > 1:
            raise Unauthorised("one Authorization header is expected")
        if headers:
            return credentials.of_header(headers[0])
        if session := self.session(request):
            return session.credential
        if self.public is not None:
            return self.public
        raise Unauthorised("authenticate as an OpenNebula user: Basic, or Bearer with user:token")

    async def caller(self, request: Request, calls: Sequence[Call] = ()) -> Caller:
        """Return who asks; raise a Refusal for strangers and for more than one user may ask.

        A scoped token is accepted only where it permits all of `calls`.
        """
        credential = self.credential(request)
        if self.scopes is None or not self.scopes.scoped(credential):
            return await self.accept(credential, request)
        if not calls:
            raise Forbidden("no scoped token is accepted here")
        return replace(await self.accept(await self.scopes.compose(credential, calls), request), scoped=True)

    async def accept(self, credential: Credential, request: Request, max_age: float | None = None) -> Caller:
        """Return the user of a credential, asked of oned; count failures by address and requests by user."""
        address = network(request.client.host) if request.client else ""
        if credential.digest not in self._accepted:  # others behind the same address may guess
            self.failed.demand(address)
        try:
            caller = await (
                self.callers.of(credential) if max_age is None else self.callers.of(credential, max_age)
            )
        except Refusal as refusal:
            if refusal.status == Unauthorised.status:
                self.failed.take(address)
            raise
        self._accepted[credential.digest] = None
        self._accepted.move_to_end(credential.digest)
        if len(self._accepted) > _REMEMBERED:
            self._accepted.popitem(last=False)
        self.requests.take((caller.id, address) if credential == self.public else caller.id)
        return caller
