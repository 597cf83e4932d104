"""The calls, a module per resource; importing this package fills the table."""

from sandbox.calls import acls, clusters, control, groups, hooks, hosts, system, users, zones
from sandbox.rpc.table import CALLS

__all__ = ["CALLS", "acls", "clusters", "control", "groups", "hooks", "hosts", "system", "users", "zones"]
