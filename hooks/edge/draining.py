"""Empties a host before its node leaves: one step for each request of the node.

During that time the host is in maintenance: availability does not treat its silence as a failure.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from hooks.edge.hosts import CLOSED, Hosts
from onext import log
from onext.hosts import maintenance
from onext.hosts.actions.effects import Effects
from onext.hosts.actions.world import Failed, MoveRefused
from onext.hosts.bmc.config import BmcConfig
from onext.hosts.flush import Flush, Step
from onext.hosts.inventory.cluster import ClusterUnreadable
from onext.hosts.inventory.current import current
from onext.hosts.model import Cluster
from onext.oned.objects import Host
from onext.part import Context

LEAVES = "its node, which leaves"  # who has put a host into maintenance
PAUSE = 3.0  # seconds between two looks at all pools for one host
_log = log.get("edge")


@dataclass
class _Host:
    """The migrations that were tried on one host, and the latest reasons why VMs stay."""

    flush: Flush
    looked: float = float("-inf")
    reasons: dict[int, str] = field(default_factory=dict)


@dataclass
class Draining:
    """The hosts of nodes that leave. After a restart the worker begins anew: oned knows which VMs move."""

    hosts: dict[int, _Host] = field(default_factory=dict)

    def step(self, context: Context, number: int) -> dict[int, str]:
        """Disable a host and begin the next migrations; return each VM that is on it, with the reason.

        Raises Conflict where another part holds the host, or an OnedError.
        """
        hosts = Hosts(context.oned)
        found = hosts.find(number)
        if found is not None:
            _maintain(context, found)
            hosts.close(found)
        if found is None or not found.vm_ids:
            self.hosts.pop(number, None)
            return {}
        known = self.hosts.setdefault(number, _Host(Flush(number)))
        if context.now() - known.looked >= PAUSE:
            known.looked = context.now()
            known.reasons = _move(context, found, known.flush)
        return {vm: known.reasons.get(vm, "it is moved") for vm in found.vm_ids}


def _maintain(context: Context, host: Host) -> None:
    """Put a host into maintenance, unless it is: availability must know before it goes silent."""
    if not maintenance.complete(context, host.id):
        maintenance.begin(context, host.id, host.name, LEAVES, closed=host.state in CLOSED)


def let_go(context: Context, number: int) -> None:
    """End the maintenance of a host that a node's leave has begun; raise an OnedError."""
    order = maintenance.order(context, number)
    if order is not None and order.value is not None and order.value.who == LEAVES:
        maintenance.end(context, number)


def _move(context: Context, host: Host, flush: Flush) -> dict[int, str]:
    """Begin the next migrations, and return why the other VMs stay."""
    try:
        cluster = current(context, host.cluster_id)
    except (ClusterUnreadable, KeyError) as error:
        return dict.fromkeys(host.vm_ids, f"its cluster cannot be read: {error}")
    steps = flush.steps(cluster)
    stays = _without(flush, cluster, steps)
    for step in steps:
        _begin(context, host, flush, step)
    return stays


def _without(flush: Flush, cluster: Cluster, steps: list[Step]) -> dict[int, str]:
    moving = {step.vm for step in steps}
    return {vm: why for vm, why in flush.stays(cluster).items() if vm not in moving}


def _begin(context: Context, host: Host, flush: Flush, step: Step) -> None:
    raft = context.oned.raft()
    world = Effects(context, BmcConfig(context.paths.settings), raft.server_id, raft.term)
    try:
        if world.migrate(step.vm, host.id, step.target):
            _log.info(
                "audit: VM %d moves from host %d, which leaves, to host %d", step.vm, host.id, step.target
            )
    except MoveRefused as error:
        flush.refused[step.vm] = str(error)
        return
    except Failed as error:
        _log.warning("VM %d: %s", step.vm, error)
    flush.begun(step)  # also after a failure: it may have come about
