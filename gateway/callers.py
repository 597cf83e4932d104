"""Who calls: oned decides, asked with the caller's own credential.

The name that oned answers must be the text before the first colon. So a credential of a `server*` driver,
which names another user behind its own, is refused, and that of a server's user itself by its driver.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass

from gateway.credentials import Credential
from gateway.oned_calls import OnedCalls
from gateway.refusals import Unauthorised
from gateway.short_cache import ShortCache
from onext import bounds
from onext.xml import Element, MalformedXML, parse

SECONDS = 5.0  # for which an accepted credential is not asked about again
ADMINISTRATORS = 0  # the group oneadmin
_STOCK_SERVER = "serveradmin"
_NO_SERVERS = "users of OpenNebula's own servers, and disabled users, cannot log in here"
_REFUSED = "OpenNebula does not accept this user and password or token"


@dataclass(frozen=True, slots=True)
class Caller:
    """An authenticated user."""

    credential: Credential
    id: int
    name: str
    group_ids: frozenset[int]
    scoped: bool = False  # by a token that may do single things only

    @property
    def administrator(self) -> bool:
        """Whether oned hides nothing from this user: oneadmin, and members of its group."""
        return not self.scoped and (self.id == 0 or ADMINISTRATORS in self.group_ids)


class Callers:
    """Authenticates; an accepted credential is remembered by its digest for seconds."""

    def __init__(self, calls: OnedCalls, servers: Callable[[], Collection[str]]) -> None:
        """Take the names of the users whose driver begins with `server`, as far as they are known."""
        self._calls, self._servers = calls, servers
        self._known: ShortCache[Caller] = ShortCache(SECONDS, 1024)

    async def of(self, credential: Credential, max_age: float = SECONDS) -> Caller:
        """Return the caller; raise Unauthorised, or Unavailable where oned does not answer."""
        return await self._known.get(credential.digest, lambda: self._ask(credential), max_age)

    async def _ask(self, credential: Credential) -> Caller:
        require_person(credential, self._servers())
        element = await self._calls.single(credential, "user.info", -1, False)
        return accepted(element, credential)


def require_person(credential: Credential, servers: Collection[str]) -> None:
    """Raise Unauthorised for a server's user, before anything is sent: they act for others."""
    if credential.user == _STOCK_SERVER or credential.user in servers:
        raise Unauthorised(_NO_SERVERS)


def accepted(element: bytes, credential: Credential) -> Caller:
    """Return the caller that oned's answer describes; raise Unauthorised where it is another user."""
    try:
        user = parse(element)
    except MalformedXML:
        raise Unauthorised(_REFUSED) from None
    number, driver = _id(user, "ID"), user.findtext("AUTH_DRIVER", "")
    if number is None or user.findtext("NAME") != credential.user:
        raise Unauthorised(_REFUSED)
    if driver.startswith("server") or user.findtext("ENABLED") != "1":
        raise Unauthorised(_NO_SERVERS)
    groups = {bounds.whole(one.text, 0, 2**31) for one in user.iterfind("GROUPS/ID")}
    groups.add(_id(user, "GID"))
    return Caller(credential, number, credential.user, frozenset(one for one in groups if one is not None))


def _id(user: Element, tag: str) -> int | None:
    return bounds.whole(user.findtext(tag), 0, 2**31)
