"""one.cluster.* and one.clusterpool.info."""

from sandbox.calls.answers import change, document, info, listing, the
from sandbox.calls.hosts import move
from sandbox.errors import ActionError
from sandbox.frontend import FrontEnd
from sandbox.rpc.table import call
from sandbox.rpc.wire import Document
from sandbox.state.access import Caller
from sandbox.state.cluster import Cluster
from sandbox.state.pool_object import ADMIN, CREATE, MANAGE, USE
from sandbox.state.pools import check_name
from sandbox.state.world import OWN, reserving


@call("one.cluster.allocate", "s")
def allocate(front: FrontEnd, caller: Caller, name: str) -> int:
    """Make a cluster."""
    front.world.access.demand(caller, CREATE, "CLUSTER", None)
    check_name(name)
    number = max(OWN, max((cluster.id for cluster in front.world.clusters), default=0) + 1)
    return front.world.clusters.add(Cluster(name=name, id=number, template=reserving())).id


@call("one.cluster.info", "i?b", reads=True)
def cluster_info(front: FrontEnd, caller: Caller, oid: int, decrypt: bool = False) -> Document:  # noqa: ARG001, FBT001, FBT002
    """Return a cluster."""
    return info(the(front, caller, front.world.clusters, oid, USE))


@call("one.cluster.update", "is?i")
def update(front: FrontEnd, caller: Caller, oid: int, source: str, mode: int = 0) -> int:
    """Change a cluster's template: MANAGE is enough. Reservations of its hosts follow."""
    cluster = the(front, caller, front.world.clusters, oid, MANAGE)
    change(front, cluster, source, mode)
    for number in cluster.hosts:
        host = front.world.hosts.get(number)
        host.reserve(cluster.reserved())
        host.touch()
    return oid


@call("one.cluster.rename", "is")
def rename(front: FrontEnd, caller: Caller, oid: int, name: str) -> int:
    """Give a cluster another name, which its hosts show too."""
    cluster = the(front, caller, front.world.clusters, oid, MANAGE)
    front.world.clusters.rename(cluster, name)
    for number in cluster.hosts:
        host = front.world.hosts.get(number)
        host.cluster = name
        host.touch()
    return oid


@call("one.cluster.delete", "i")
def delete(front: FrontEnd, caller: Caller, oid: int) -> int:
    """Remove an empty cluster."""
    cluster = the(front, caller, front.world.clusters, oid, ADMIN)
    if cluster.hosts or oid == 0:
        raise ActionError(
            f"Cannot delete cluster. Cluster {oid} is not empty, it contains {len(cluster.hosts)} hosts."
        )
    front.world.clusters.drop(cluster)
    return oid


@call("one.cluster.addhost", "ii")
def addhost(front: FrontEnd, caller: Caller, oid: int, host_id: int) -> int:
    """Move a host into a cluster."""
    cluster = the(front, caller, front.world.clusters, oid, ADMIN)
    move(front, the(front, caller, front.world.hosts, host_id, ADMIN), cluster)
    return oid


@call("one.cluster.delhost", "ii")
def delhost(front: FrontEnd, caller: Caller, oid: int, host_id: int) -> int:
    """Move a host back into the default cluster."""
    the(front, caller, front.world.clusters, oid, ADMIN)
    move(front, the(front, caller, front.world.hosts, host_id, ADMIN), front.world.clusters.get(0))
    return oid


@call("one.clusterpool.info", reads=True)
def pool_info(front: FrontEnd, caller: Caller) -> Document:
    """Return all clusters that the caller may use."""
    return document("CLUSTER_POOL", listing(front, caller, front.world.clusters))
