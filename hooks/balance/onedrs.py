"""OneDRS's plan of a cluster, of which balancing executes what is worth its cost (OpenNebula 7.0 on).

The plan is in the cluster: PLAN/STATE 0 is READY, and each PLAN/ACTION names VM_ID, OPERATION, HOST_ID, DS_ID
(src/schedm/Plan.cc; a move between hosts names the datastore that the VM is in: optimizer_serializer.py).
Moves between datastores, deployments and power actions are not taken over.
"""

from __future__ import annotations

from collections.abc import Mapping

from onext import bounds
from onext.oned.errors import OnedError
from onext.part import Context
from onext.xml import Element

READY = "0"
MIGRATE = "migrate"
_NO_DATASTORE = -1
_MOST = 10_000  # actions


def proposed(cluster: Element, stores: Mapping[int, int]) -> Mapping[int, int] | None:
    """Return the host that OneDRS proposes for each VM, None where it has no plan that is ready.

    `stores` are the system datastores of the VMs.
    """
    plan = cluster.find("PLAN")
    if plan is None or plan.findtext("STATE") != READY:
        return None
    found = {}
    for action in [*plan.iterfind("ACTION")][:_MOST]:
        vm, host = (bounds.whole(action.findtext(name), 0, 2**31) for name in ("VM_ID", "HOST_ID"))
        store = bounds.whole(action.findtext("DS_ID"), _NO_DATASTORE, 2**31)
        if vm is None or host is None or store not in (_NO_DATASTORE, stores.get(vm, _NO_DATASTORE)):
            continue
        if action.findtext("OPERATION") == MIGRATE and action.findtext("STATE") == READY:
            found[vm] = host
    return found or None


def read(context: Context, cluster: int) -> Mapping[int, int] | None:
    """Return what OneDRS proposes for a cluster now; raise an OnedError."""
    vms = context.cloud().vms.values()
    stores = {vm.id: vm.stay.datastore_id for vm in vms if vm.stay is not None}
    return proposed(context.oned.document("cluster.info", cluster), stores)


def delete(context: Context, cluster: int) -> str:
    """Delete the plan, so that OpenNebula does not execute it; return why this failed, else an empty text."""
    try:
        context.oned.call("cluster.plandelete", cluster)
    except OnedError as error:
        return f"OneDRS's plan was not deleted: {error}"
    return ""
