"""A cluster as it is now, for commands that place VMs: no BMC is asked."""

from __future__ import annotations

from onext.hosts.claims import HOST_RECORDS
from onext.hosts.inventory.cluster import observe
from onext.hosts.inventory.snapshot import ALL, PIN, Snapshot, read_now
from onext.hosts.model import Cluster
from onext.oned.documents import Documents
from onext.part import Context


def current(context: Context, cluster: int, max_age: float = 0.0) -> Cluster:
    """Read oned's pools, at most `max_age` seconds old, and return a cluster.

    Raises KeyError when it is not there, ClusterUnreadable, or an OnedError.
    """
    cloud = read_now(context.cloud(max_age))
    restricted = cloud.document("system.config").iterfind(".//VM_RESTRICTED_ATTR")
    seen = Snapshot(
        cloud,
        groups=cloud.document("vmgrouppool.info", *ALL),
        pins_count=any((item.text or "").upper() == PIN for item in restricted),
        records=Documents(context.oned, HOST_RECORDS, context.now).all(),
    )
    return observe(seen, cluster, context.settings.power, context.now())
