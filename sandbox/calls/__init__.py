"""The calls, a module per resource; importing this package fills the table."""

from sandbox.calls import (
    acls,
    actions,
    clusters,
    control,
    documents,
    groups,
    hooks,
    hosts,
    locks,
    ownership,
    resources,
    schedules,
    system,
    users,
    vmpool,
    vms,
    zones,
)
from sandbox.rpc.table import CALLS

__all__ = [
    "CALLS",
    "acls",
    "actions",
    "clusters",
    "control",
    "documents",
    "groups",
    "hooks",
    "hosts",
    "locks",
    "ownership",
    "resources",
    "schedules",
    "system",
    "users",
    "vmpool",
    "vms",
    "zones",
]
