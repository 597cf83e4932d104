"""one.group.* and one.grouppool.info."""

from sandbox.calls.answers import change, document, info, listing, the
from sandbox.errors import ActionError
from sandbox.frontend import FrontEnd
from sandbox.rpc.table import call
from sandbox.rpc.wire import Document
from sandbox.state.access import Caller
from sandbox.state.people import Group
from sandbox.state.pools import check_name
from sandbox.state.things import ADMIN, CREATE, MANAGE, USE
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
    return info(the(front, caller, front.world.groups, caller.gid if oid == -1 else oid, USE))


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
    return document("GROUP_POOL", listing(front, caller, front.world.groups))
