"""What may be done with the name, owner, group and permissions of everything that has an owner."""

from sandbox.calls.answers import the
from sandbox.frontend import FrontEnd
from sandbox.rpc.table import call
from sandbox.state.access import Caller
from sandbox.state.pool_object import ADMIN, MANAGE

_SAME = -1
_OWNED = ("vm", "template", "image", "datastore", "vn", "vmgroup", "document")


def _register(kind: str) -> None:
    @call(f"one.{kind}.rename", "is")
    def _rename(front: FrontEnd, caller: Caller, oid: int, name: str) -> int:
        pool = front.world.pool(kind)
        pool.rename(the(front, caller, pool, oid, MANAGE), name)
        return oid

    @call(f"one.{kind}.chmod", "iiiiiiiiii")
    def _chmod(front: FrontEnd, caller: Caller, oid: int, *bits: int) -> int:
        """Set the nine permission bits; -1 leaves one as it is."""
        thing = the(front, caller, front.world.pool(kind), oid, MANAGE)
        new = [old if bit == _SAME else bit for old, bit in zip(thing.bits(), bits, strict=True)]
        thing.rights = tuple(new[at] + 2 * new[at + 1] + 4 * new[at + 2] for at in (0, 3, 6))
        thing.touch()
        return oid

    @call(f"one.{kind}.chown", "iii")
    def _chown(front: FrontEnd, caller: Caller, oid: int, uid: int, gid: int) -> int:
        """Give to another owner (only administrators) or group; -1 leaves it."""
        thing = the(front, caller, front.world.pool(kind), oid, MANAGE if uid == _SAME else ADMIN)
        if uid != _SAME:
            thing.uid, thing.uname = uid, front.world.users.get(uid).name
        if gid != _SAME:
            thing.gid, thing.gname = gid, front.world.groups.get(gid).name
        thing.touch()
        return oid


for _kind in _OWNED:
    _register(_kind)
