"""one.vm.action and one.vm.recover: which action is allowed in which state."""

from collections.abc import Callable

from sandbox.calls.answers import the
from sandbox.errors import ActionError
from sandbox.frontend import FrontEnd
from sandbox.rpc.table import call
from sandbox.state.access import Caller
from sandbox.state.history import Action
from sandbox.state.names import LCM, VMState
from sandbox.state.pool_object import ADMIN, MANAGE
from sandbox.state.vm import VM

Do = Callable[[FrontEnd, VM, Caller], None]
State = VMState | LCM

_RUNNING = (LCM.RUNNING, LCM.UNKNOWN)
_ENDABLE = (*_RUNNING, VMState.PENDING, VMState.HOLD, VMState.POWEROFF, VMState.SUSPENDED, VMState.STOPPED)
_ADMINS = ("resched", "unresched")
_FAILURE, _SUCCESS, _RETRY, _DELETE, _RECREATE, _DELETE_DB = range(6)


def _to(state: VMState) -> Do:
    return lambda front, vm, _: front.vm_life.turn(vm, state)


def _flag(value: int) -> Do:
    def flagged(_front: FrontEnd, vm: VM, _caller: Caller) -> None:
        vm.resched = value
        vm.touch()

    return flagged


def _poweroff(action: Action) -> Do:
    return lambda front, vm, caller: front.vm_life.poweroff(vm, caller, action)


def _terminate(action: Action) -> Do:
    return lambda front, vm, caller: front.vm_life.terminate(vm, caller, action)


def _undeploy(action: Action) -> Do:
    return lambda front, vm, caller: front.vm_life.undeploy(vm, caller, action)


def _reboot(front: FrontEnd, vm: VM, _caller: Caller) -> None:
    front.vm_life.reboot(vm)


# What each action may be done in (a state, or a state of the life while ACTIVE), and what it does.
ACTIONS: dict[str, tuple[tuple[State, ...], Do]] = {
    "hold": ((VMState.PENDING,), _to(VMState.HOLD)),
    "release": ((VMState.HOLD,), _to(VMState.PENDING)),
    "poweroff": (_RUNNING, _poweroff(Action.POWEROFF)),
    "poweroff-hard": ((*_RUNNING, LCM.SHUTDOWN_POWEROFF), _poweroff(Action.POWEROFF_HARD)),
    "suspend": ((LCM.RUNNING,), lambda front, vm, caller: front.vm_life.suspend(vm, caller)),
    "stop": ((LCM.RUNNING, VMState.SUSPENDED), lambda front, vm, caller: front.vm_life.stop(vm, caller)),
    "undeploy": ((*_RUNNING, VMState.POWEROFF), _undeploy(Action.UNDEPLOY)),
    "undeploy-hard": ((*_RUNNING, VMState.POWEROFF), _undeploy(Action.UNDEPLOY_HARD)),
    "resume": (
        (VMState.POWEROFF, VMState.SUSPENDED, VMState.STOPPED, VMState.UNDEPLOYED, LCM.UNKNOWN),
        lambda front, vm, caller: front.vm_life.resume(vm, caller),
    ),
    "terminate": ((*_ENDABLE, VMState.UNDEPLOYED), _terminate(Action.TERMINATE)),
    "terminate-hard": ((*_ENDABLE, VMState.UNDEPLOYED, LCM.SHUTDOWN), _terminate(Action.TERMINATE_HARD)),
    "reboot": ((LCM.RUNNING,), _reboot),
    "reboot-hard": ((LCM.RUNNING,), _reboot),
    "resched": ((*_RUNNING, VMState.POWEROFF), _flag(1)),
    "unresched": ((*_RUNNING, VMState.POWEROFF), _flag(0)),
}


@call("one.vm.action", "si")
def action(front: FrontEnd, caller: Caller, name: str, oid: int) -> int:
    """Do an action."""
    vm = the(front, caller, front.world.vms, oid, ADMIN if name in _ADMINS else MANAGE)
    if name not in ACTIONS:
        raise ActionError(f'Action "{name}" is not supported')
    states, do = ACTIONS[name]
    now: State = vm.lcm if vm.state == VMState.ACTIVE else vm.state
    if not any(now is state for state in states):
        raise ActionError(
            f'Error performing action "{name}": This action is not available for state {vm.said}', oid
        )
    do(front, vm, caller)
    return oid


@call("one.vm.recover", "ii")
def recover(front: FrontEnd, caller: Caller, oid: int, operation: int) -> int:
    """Get a VM out of a state in which it is stuck."""
    vm = the(front, caller, front.world.vms, oid, ADMIN)
    life = front.vm_life
    if operation == _FAILURE:
        life.fail(vm)
    elif operation == _SUCCESS:
        life.carry_on(vm)
    elif operation == _RETRY:
        life.retry(vm)
    elif operation in (_DELETE, _DELETE_DB):
        life.delete(vm, caller)
    elif operation == _RECREATE:
        life.undeploy(vm, caller, Action.DELETE_RECREATE)
    else:
        raise ActionError("Wrong recovery operation code")
    return oid
