"""one.vm.schedadd and one.vm.scheddelete."""

from sandbox.calls.answers import the
from sandbox.calls.vms import plan
from sandbox.errors import ActionError, NoExistsError
from sandbox.frontend import FrontEnd
from sandbox.rpc.table import call
from sandbox.state.access import Caller
from sandbox.state.pool_object import MANAGE


@call("one.vm.schedadd", "is")
def schedadd(front: FrontEnd, caller: Caller, oid: int, source: str) -> int:
    """Plan an action of a VM."""
    vm = the(front, caller, front.world.vms, oid, MANAGE)
    wanted = front.parse(source).vectors("SCHED_ACTION")
    if not wanted:
        raise ActionError("No SCHED_ACTION attribute in template")
    return plan(front, vm, wanted[:1])[0]


@call("one.vm.scheddelete", "ii")
def scheddelete(front: FrontEnd, caller: Caller, oid: int, number: int) -> int:
    """Take a planned action back."""
    vm = the(front, caller, front.world.vms, oid, MANAGE)
    kept = [planned for planned in vm.schedule if planned.id != number]
    if len(kept) == len(vm.schedule):
        raise NoExistsError("scheduled action", number)
    vm.schedule = kept
    vm.touch()
    return number
