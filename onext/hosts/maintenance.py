"""Maintenance of a host: what is written before it may go silent on purpose, and removed afterwards.

While both are there, availability takes its silence for no failure, and power leaves it alone.
"""

from __future__ import annotations

from onext.hosts.claims import HOST_RECORDS
from onext.hosts.holding import hold, let_go
from onext.hosts.model import Claim, Phase
from onext.hosts.orders import MAINTENANCE, Order
from onext.oned.documents import Documents, Stored
from onext.part import Context

HOLDER = "maintenance"


def begin(context: Context, host: int, name: str, who: str, *, closed: bool) -> None:
    """Claim a host for `who`, and record it; raise Conflict where another part holds it, or an OnedError.

    `closed`: the host takes no VMs now; what an earlier order has recorded about that stays.
    """
    raft, now = context.oned.raft(), context.now()
    reason = f"in maintenance by {who}"
    claim = Claim(Phase.HELD, now, raft.server_id, raft.term, reason=reason, holder=HOLDER)
    hold(Documents(context.oned, HOST_RECORDS, context.now), host, name, claim)
    before = order(context, host)
    if before is not None and before.value is not None:
        closed = before.value.closed
    version = before.version if before else None
    _orders(context).put(host, Order(who, now, closed=closed), version)


def order(context: Context, host: int) -> Stored[Order] | None:
    """Return what is recorded about a host, None where it is not in maintenance."""
    return _orders(context).get(host)


def complete(context: Context, host: int) -> bool:
    """Return whether a host is claimed and recorded."""
    stored = Documents(context.oned, HOST_RECORDS, context.now).get(host)
    claim = stored.value.claim if stored and stored.value else None
    return claim is not None and claim.holder == HOLDER and order(context, host) is not None


def end(context: Context, host: int) -> None:
    """Release a host and remove the record; raise an OnedError."""
    let_go(Documents(context.oned, HOST_RECORDS, context.now), host, HOLDER)
    before = order(context, host)
    if before is not None:
        _orders(context).remove(host, before.version)


def _orders(context: Context) -> Documents[Order]:
    return Documents(context.oned, MAINTENANCE, context.now)
