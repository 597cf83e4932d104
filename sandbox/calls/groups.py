"""one.group.* and one.grouppool.info."""

from sandbox import quotas
from sandbox.calls.answers import change, listing, the
from sandbox.errors import ActionError
from sandbox.frontend import FrontEnd
from sandbox.markup import tag, text
from sandbox.rpc.table import call
from sandbox.rpc.wire import Document
from sandbox.state.access import Caller
from sandbox.state.people import EMPTY_QUOTAS, Group
from sandbox.state.pool_object import ADMIN, CREATE, MANAGE, USE
from sandbox.state.pools import check_name
from sandbox.state.world import OWN


@call("one.group.allocate", "s")
def allocate(front: FrontEnd, caller: Caller, name: str) -> int:
    """Make a group."""
    front.world.access.demand(caller, CREATE, "GROUP", None)
    check_name(name)
    number = max(OWN, max(group.id for group in front.world.groups) + 1)
    group = front.world.groups.add(Group(name=name, id=number))
    group.gid, group.gname = group.id, name
    return group.id


@call("one.group.info", "i?b", reads=True)
def group_info(front: FrontEnd, caller: Caller, oid: int, decrypt: bool = False) -> Document:  # noqa: ARG001, FBT001, FBT002
    """Return a group; -1 is the caller's."""
    group = the(front, caller, front.world.groups, caller.gid if oid == -1 else oid, USE)
    defaults = tag("DEFAULT_GROUP_QUOTAS", EMPTY_QUOTAS)
    return Document.of(group.xml(quotas.xml(front.world, group) + _rules(front, group) + defaults))


@call("one.group.update", "is?i")
def update(front: FrontEnd, caller: Caller, oid: int, source: str, mode: int = 0) -> int:
    """Change a group's template."""
    return change(front, the(front, caller, front.world.groups, oid, MANAGE), source, mode)


@call("one.group.delete", "i")
def delete(front: FrontEnd, caller: Caller, oid: int) -> int:
    """Remove a group that has no members."""
    group = the(front, caller, front.world.groups, oid, ADMIN)
    if group.members or oid < OWN:
        raise ActionError(f"Cannot delete group. Group {oid} is not empty.")
    front.world.groups.drop(group)
    return oid


@call("one.grouppool.info", reads=True)
def pool_info(front: FrontEnd, caller: Caller) -> Document:
    """Return all groups that the caller may use."""
    groups = listing(front, caller, front.world.groups)
    listed = "".join(
        group.xml() + quotas.pooled_xml(front.world, group) + _rules(front, group) for group in groups
    )
    return Document.of(tag("GROUP_POOL", listed + tag("DEFAULT_GROUP_QUOTAS", EMPTY_QUOTAS)))


@call("one.group.quota", "is")
def quota(front: FrontEnd, caller: Caller, oid: int, source: str) -> int:
    """Set limits of a group."""
    the(front, caller, front.world.groups, oid, ADMIN).quotas.set(front.parse(source))
    return oid


def _rules(front: FrontEnd, group: Group) -> str:
    return tag("VLAN_RULES", text("ID", group.id)) if front.world.release.vlan_rules else ""
