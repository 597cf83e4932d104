"""one.*.lock and one.*.unlock of everything that can be locked."""

from sandbox.calls.answers import the
from sandbox.errors import ActionError
from sandbox.frontend import FrontEnd
from sandbox.rpc.table import call
from sandbox.state.access import Caller
from sandbox.state.lock import LEVELS, Lock
from sandbox.state.pool_object import MANAGE

_LOCKABLE = ("vm", "template", "image", "vn", "vmgroup", "document")


def _register(kind: str) -> None:
    @call(f"one.{kind}.lock", "ii?b")
    def _lock(front: FrontEnd, caller: Caller, oid: int, level: int, test: bool = False) -> int:  # noqa: FBT001, FBT002
        """Lock; an administrator takes another's lock over, unless `test` asks for a free one."""
        thing = the(front, caller, front.world.pool(kind), oid, MANAGE, despite_lock=True)
        if level not in LEVELS:
            raise ActionError("Wrong lock level specified")
        held = thing.lock
        if held and test:
            raise ActionError(str(held.since))
        if held and held.owner != caller.uid and not caller.admin:
            raise ActionError("Error trying to lock the resource.")
        thing.lock = Lock(LEVELS[level], caller.uid)
        thing.touch()
        return oid

    @call(f"one.{kind}.unlock", "i")
    def _unlock(front: FrontEnd, caller: Caller, oid: int) -> int:
        """Unlock; only its owner and administrators may."""
        thing = the(front, caller, front.world.pool(kind), oid, MANAGE, despite_lock=True)
        if thing.lock and thing.lock.owner != caller.uid and not caller.admin:
            raise ActionError("Cannot unlock: Lock is owned by another user")
        thing.lock = None
        thing.touch()
        return oid


for _kind in _LOCKABLE:
    _register(_kind)
