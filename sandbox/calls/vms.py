"""one.vm.* but for actions."""

from sandbox import assembly, quotas
from sandbox.calls.answers import info, the
from sandbox.calls.migration import fit, target
from sandbox.errors import ActionError, ApiError, AuthorizationError, InternalError
from sandbox.frontend import FrontEnd
from sandbox.rpc.table import call
from sandbox.rpc.wire import Document
from sandbox.state.access import Caller
from sandbox.state.history import BY_HAND
from sandbox.state.names import VMState
from sandbox.state.pool_object import ADMIN, CREATE, MANAGE, USE
from sandbox.state.pools import check_name
from sandbox.state.schedule import ScheduledAction
from sandbox.state.vm import VM
from sandbox.template import Template

_SYSTEM_DATASTORE = 0
_DEPLOYABLE = (VMState.PENDING, VMState.HOLD, VMState.STOPPED, VMState.UNDEPLOYED)


@call("one.vm.allocate", "s?b")
def allocate(front: FrontEnd, caller: Caller, source: str, hold: bool = False) -> int:  # noqa: FBT001, FBT002
    """Make a VM of a template."""
    return make(front, caller, front.parse(source), hold=hold)


def make(front: FrontEnd, caller: Caller, source: Template, *, hold: bool) -> int:
    """Make a VM: PENDING, or HOLD when asked."""
    front.world.access.demand(caller, CREATE, "VM", None)
    if not caller.admin and (taken := touched(front, source)):
        raise AuthorizationError(
            f"User [{caller.uid}] : VM Template includes a restricted attribute {taken}."
        )
    ours, owners = assembly.split(source)
    name = owners.get("NAME")
    for attribute in ("NAME", "TEMPLATE_NAME"):
        owners.remove(attribute)
    planned = [value for value in owners.remove("SCHED_ACTION") if isinstance(value, dict)]
    assembly.check(ours)
    quotas.demand(front.world, front.world.users.get(caller.uid), ours)
    vm = VM(name=name, template=ours, user_template=owners, uid=caller.uid, gid=caller.gid)
    vm.uname, vm.gname = caller.name, caller.gname
    front.world.vms.add(vm)
    if not name:
        front.world.vms.rename(vm, f"one-{vm.id}")
    try:
        check_name(vm.name)
        assembly.complete(front.world, vm)
    except InternalError:
        assembly.leave(front.world, vm)
        front.world.vms.drop(vm)
        raise
    plan(front, vm, planned)
    held = hold or ours.get("SUBMIT_ON_HOLD").upper() == "YES"
    if held:
        ours.put("SUBMIT_ON_HOLD", "YES")
    vm.state = VMState.HOLD if held else VMState.PENDING
    front.vm_changed(vm)
    return vm.id


def plan(front: FrontEnd, vm: VM, wanted: list[dict[str, str]]) -> list[int]:
    """Plan actions of a VM, and return their ids."""
    taken = [one.id for other in front.world.vms for one in other.schedule]
    first = max(taken, default=-1) + 1
    made = [ScheduledAction.of(first + at, vm.id, vm.stime, values) for at, values in enumerate(wanted)]
    vm.schedule.extend(made)
    vm.touch()
    return [one.id for one in made]


def touched(front: FrontEnd, template: Template, kind: str = "VM") -> str:
    """Return a restricted attribute that the template has, or nothing."""
    for attribute in sorted(front.configuration.restricted(kind)):
        name, _, key = attribute.partition("/")
        if (not key and name in template.attributes) or any(
            key in vector for vector in template.vectors(name)
        ):
            return attribute
    return ""


@call("one.vm.info", "i?b", reads=True)
def vm_info(front: FrontEnd, caller: Caller, oid: int, decrypt: bool = False) -> Document:  # noqa: ARG001, FBT001, FBT002
    """Return a VM."""
    return info(the(front, caller, front.world.vms, oid, USE))


@call("one.vm.update", "is?i")
def update(front: FrontEnd, caller: Caller, oid: int, source: str, mode: int = 0) -> int:
    """Change a VM's USER_TEMPLATE; its owner may, but for restricted attributes. No hook hears of it."""
    vm = the(front, caller, front.world.vms, oid, MANAGE)
    if mode not in (0, 1):
        raise ApiError("Wrong update type")
    change = front.parse(source)
    if not caller.admin and (taken := touched(front, change)):
        raise InternalError(f"Cannot update template. User Template includes a restricted attribute {taken}")
    if mode == 0:
        vm.user_template = change
    else:
        vm.user_template.merge(change)
    vm.touch()
    return oid


@call("one.vm.deploy", "ii?bis")
def deploy(
    front: FrontEnd,
    caller: Caller,
    oid: int,
    host_id: int,
    enforce: bool = False,  # noqa: FBT001, FBT002
    ds_id: int = -1,
    extra: str = "",  # noqa: ARG001
) -> int:
    """Start a VM on a host. DISABLED hosts accept it; OFFLINE hosts do not."""
    vm = the(front, caller, front.world.vms, oid, ADMIN)
    host = target(front, host_id)
    if vm.state not in _DEPLOYABLE:
        raise ActionError(f"Deploy action is not available for state {vm.said}")
    fit(vm, host, enforce=enforce)
    front.vm_life.deploy(vm, host, ds_id if ds_id >= 0 else _SYSTEM_DATASTORE, BY_HAND)
    return oid


@call("one.vm.monitoring", "i", reads=True)
def monitoring(front: FrontEnd, caller: Caller, oid: int) -> Document:
    """Return every record of a VM."""
    vm = the(front, caller, front.world.vms, oid, USE)
    return Document.of(f"<MONITORING_DATA>{''.join(xml for _, xml in vm.records)}</MONITORING_DATA>")
