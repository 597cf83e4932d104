"""Whether the caller may order that: asked of oned with the caller's own credential, for each order anew."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from gateway.actions import acl
from gateway.actions.orders import Confirm, Enroll, Locate, OnHost, Order, Pause, Resume, Revoke, Snapshot
from gateway.callers import Caller, accepted, require_person
from gateway.credentials import Credential
from gateway.oned_calls import refusal
from gateway.refusals import Forbidden, Invalid, Unavailable
from onext import bounds
from onext.oned import stream
from onext.oned.client import Oned
from onext.oned.connection import Source
from onext.oned.errors import OnedError, Refused

_NO_STATUS = 99  # one.host.status checks the right, then refuses such a number: nothing is changed
_REFUSAL = "Wrong status code"
_OWNER = "only the token's user and oneadmin may revoke it"


@dataclass(frozen=True)
class Rights:
    """oned, as oneadmin; calls are made as callers too."""

    oned: Oned
    receivers: Mapping[str, str] = field(default_factory=dict)  # the user of each sink of events, where set

    def caller(self, credential: Credential) -> Caller:
        """Return who has a credential, asked of oned now; raise a Refusal."""
        require_person(credential, ())
        try:
            return accepted(stream.single(self._as(credential), "user.info", -1, False), credential)
        except OnedError as error:
            raise refusal(error) from None

    def demand(self, caller: Caller, order: Order) -> None:
        """Return where the caller may order that; raise a Refusal."""
        try:
            self._demand(caller, order)
        except OnedError as error:
            raise refusal(error) from None

    def _demand(self, caller: Caller, order: Order) -> None:
        match order:
            case Confirm():
                permitted = caller.id == 0
            case Enroll() | Pause() | Resume():
                permitted = caller.administrator
            case Revoke():
                permitted = caller.administrator or self._signed(caller, order.token)
            case Snapshot():
                permitted = caller.administrator or self.receivers.get(order.sink) == caller.name
            case Locate():
                permitted = caller.administrator or self._manages(caller, order.host)
            case OnHost():
                permitted = self._administers(caller, order.host)
            case _:
                permitted = False
        if not permitted:
            raise Forbidden(_OWNER if isinstance(order, Revoke) else "you do not have the right to do that")

    def _administers(self, caller: Caller, host: int) -> bool:
        """Return whether oned grants HOST ADMIN; it answers with an error in either case."""
        try:
            stream.single(self._as(caller.credential), "host.status", host, _NO_STATUS)
        except Refused as error:
            if _REFUSAL in str(error):
                return True
            raise Unavailable("OpenNebula does not answer whether this is permitted") from None
        raise Unavailable("OpenNebula does not answer whether this is permitted")

    def _manages(self, caller: Caller, host: int) -> bool:
        """Return whether the rules grant HOST MANAGE."""
        found = self.oned.document("host.info", host, False).findtext("CLUSTER_ID")
        cluster = bounds.whole(found, 0, 2**31)
        rules = acl.rules(self.oned.document("acl.info"))
        zone = self.oned.document("system.config").findtext("FEDERATION/ZONE_ID") or "0"
        who = acl.Who(caller.id, caller.group_ids, int(zone))
        return acl.permits(rules, acl.MANAGE, who, host, -1 if cluster is None else cluster)

    def _signed(self, caller: Caller, token: str) -> bool:
        """Return whether a token is signed by a key that oned has stored for the caller."""
        try:
            from onext.biscuit import keys, tokens
            from onext.biscuit.errors import BiscuitError
        except ImportError:
            raise Unavailable("this server has no biscuits") from None
        user = self.oned.document("user.info", caller.id, False)
        if user.findtext("AUTH_DRIVER") != "biscuit":
            return False
        try:
            stored = [keys.parse_stored(one) for one in user.findtext("PASSWORD", "").split(keys.SEPARATOR)]
            tokens.verified(tokens.normal(token), stored)
        except (BiscuitError, ValueError):
            return False
        return True

    def _as(self, credential: Credential) -> Source:
        return replace(self.oned.source, session=credential.session)


def revocation_id(token: str) -> str:
    """Return the id by which a token and all that derive from it are revoked; raise Invalid."""
    try:
        from onext.biscuit import tokens
        from onext.biscuit.errors import BiscuitError
    except ImportError:
        raise Unavailable("this server has no biscuits") from None
    try:
        return str(tokens.unverified(tokens.normal(token)).revocation_ids[0])
    except (BiscuitError, ValueError, IndexError):
        raise Invalid("the token is not a biscuit") from None
