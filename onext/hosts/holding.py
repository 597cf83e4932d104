"""Hold a host for a part that works on it with its own steps: availability, maintenance.

While it is held power neither counts on it nor touches it; a host that another part holds is refused.
"""

from __future__ import annotations

from dataclasses import replace

from onext.hosts.claims import HostRecord
from onext.hosts.model import NOT_OURS, Claim, Phase
from onext.oned.documents import Conflict, Documents


def hold(records: Documents[HostRecord], host: int, name: str, claim: Claim) -> None:
    """Write a claim of phase HELD; raise Conflict where another part holds the host, OnedError otherwise.

    `claim` names holder, server, term, time and reason. Holding again renews it.
    """
    stored = records.get(host)
    known = stored.value if stored else None
    if stored is not None and known is None:
        raise Conflict(stored.problem)
    before = known.claim if known else None
    if before is not None and before.holder != claim.holder and before.phase not in NOT_OURS:
        raise Conflict(f"host {host} is held by {before.holder}: {before.reason or before.phase.value}")
    value = replace(
        known or HostRecord(name), name=name, claim=replace(claim, phase=Phase.HELD, verified=True)
    )
    records.put(host, value, stored.version if stored else None)


def let_go(records: Documents[HostRecord], host: int, holder: str) -> bool:
    """Remove the claim of a holder, the host's past stays; return whether there was one."""
    stored = records.get(host)
    if stored is None or stored.value is None or stored.value.claim is None:
        return False
    claim = stored.value.claim
    if claim.holder != holder or claim.phase is not Phase.HELD:
        return False
    records.put(host, replace(stored.value, claim=None), stored.version)
    return True
