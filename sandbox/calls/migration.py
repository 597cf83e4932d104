"""one.vm.migrate, and what a host must be to take a VM."""

from sandbox import assembly
from sandbox.calls.answers import the
from sandbox.errors import ActionError, InternalError
from sandbox.frontend import FrontEnd
from sandbox.life.vms import Move
from sandbox.rpc.table import call
from sandbox.state.access import Caller
from sandbox.state.history import Action
from sandbox.state.host import Host
from sandbox.state.names import LCM, HostState, VMState
from sandbox.state.pool_object import ADMIN
from sandbox.state.resources import Datastore
from sandbox.state.vm import VM

_COLD = {1: Action.POFF_MIGRATE, 2: Action.POFF_HARD_MIGRATE}


@call("one.vm.migrate", "iib?bii")
def migrate(
    front: FrontEnd,
    caller: Caller,
    oid: int,
    host_id: int,
    live: bool,  # noqa: FBT001
    enforce: bool = False,  # noqa: FBT001, FBT002
    ds_id: int = -1,
    kind: int = 0,
) -> int:
    """Bring a VM to another host or datastore, live or cold (`kind`: save, poweroff, poweroff-hard)."""
    host = target(front, host_id)
    store = front.world.datastores.get(ds_id) if ds_id >= 0 else None
    vm = the(front, caller, front.world.vms, oid, ADMIN)
    _movable(vm, live=live)
    _elsewhere(vm, host, ds_id, live=live)
    if host.id != vm.stay.hid:
        fit(vm, host, enforce=enforce)
    assembly.requirements(vm.template, vm.stay.tm_mad)
    if vm.template.vectors("PCI") and not kind and vm.state != VMState.POWEROFF:
        flags = "use poweroff or poweroff-hard flag for migrating a VM with PCI devices"
        raise ActionError(f"Cannot migrate VM [{oid}], {flags}")
    allowed(vm, host)
    if store and store.type != Datastore.SYSTEM:
        reason = "but it is not of type system datastore."
        raise InternalError(f"Trying to use datastore [{ds_id}] to deploy the VM, {reason}")
    where = store.id if store else vm.stay.ds_id
    front.vm_life.migrate(vm, caller, Move(host, where, live=live, cold=_COLD.get(kind, Action.MIGRATE)))
    return oid


def _movable(vm: VM, *, live: bool) -> None:
    """Refuse a VM whose state or disks do not allow it."""
    running = vm.state == VMState.ACTIVE and vm.lcm in (LCM.RUNNING, LCM.UNKNOWN)
    if not running and vm.state not in (VMState.POWEROFF, VMState.SUSPENDED):
        raise ActionError(f"Migrate action is not available for state {vm.said}")
    if live and any(disk.get("TYPE") == "FILESYSTEM" for disk in vm.template.vectors("DISK")):
        raise ActionError("VM with FILESYSTEM disks cannot be live-migrated")


def _elsewhere(vm: VM, host: Host, ds_id: int, *, live: bool) -> None:
    """Refuse the place where the VM is, and a live migration of host and datastore at once."""
    moves, copies = host.id != vm.stay.hid, ds_id not in (-1, vm.stay.ds_id)
    if not moves and not copies:
        raise ActionError(f"VM is already running on host [{host.id}] and datastore [{vm.stay.ds_id}]")
    if live and moves and copies:
        raise ActionError("Cannot live migrate host and datastore at the same time.")


def target(front: FrontEnd, host_id: int) -> Host:
    """Return a host that takes VMs."""
    host = front.world.hosts.get(host_id)
    if host.state == HostState.OFFLINE:
        raise ActionError("Host is offline, cannot use it to deploy VM")
    return host


def fit(vm: VM, host: Host, *, enforce: bool) -> None:
    """Refuse a host that is full, when asked to look."""
    if enforce and (lacking := host.lacks(vm.cpu, vm.memory)):
        raise ActionError(f"virtual machine [{vm.id}] does not fit in host [{host.id}]. {lacking}")


def allowed(vm: VM, host: Host) -> None:
    """Refuse another cluster where the VM's images or networks do not belong to it."""
    vectors = [*vm.template.vectors("DISK"), *vm.template.vectors("NIC")]
    for vector in vectors:
        if "CLUSTER_ID" in vector and str(host.cluster_id) not in vector["CLUSTER_ID"].split(","):
            raise ActionError(
                f"Cannot migrate to a different cluster. VM running in a host in cluster {vm.stay.cid}, "
                f"while new host is in cluster {host.cluster_id}"
            )
