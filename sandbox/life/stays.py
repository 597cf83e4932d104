"""Stays of VMs on hosts: what their beginning and end change in records and in the hosts' capacity."""

import random
import time

from sandbox.assembly import leave
from sandbox.state.access import Caller
from sandbox.state.history import Action, History
from sandbox.state.host import Host
from sandbox.state.vm import VM
from sandbox.state.world import World

_FIRST_PORT = 5900


class Stays:
    """Begins and ends stays."""

    def __init__(self, world: World) -> None:
        self._world = world

    def arrive(self, vm: VM, host: Host, ds_id: int, plan: int) -> None:
        """Begin a stay of a VM that has no host: its record, the host's capacity, its port."""
        now = int(time.time())
        tm_mad = self._world.datastores.get(ds_id).template.get("TM_MAD")
        stay = History(
            oid=vm.id,
            seq=vm.stay.seq + 1 if vm.history else 0,
            hostname=host.name,
            hid=host.id,
            cid=host.cluster_id,
            vm_mad=host.vm_mad,
            tm_mad=tm_mad,
            ds_id=ds_id,
            plan_id=plan,
            stime=now,
            pstime=now,
        )
        vm.history.append(stay)
        host.take(vm.id, vm.cpu, vm.memory)
        host.touch()
        vm.template.put("TM_MAD_SYSTEM", tm_mad)
        vm.user_template.remove("SCHED_MESSAGE")
        for graphics in vm.template.vectors("GRAPHICS"):
            graphics.setdefault("PORT", str(_FIRST_PORT + vm.id))

    def move(self, vm: VM, host: Host, ds_id: int) -> None:
        """Begin a stay on another host or datastore; the old host keeps the VM until it is there."""
        vm.open_stay(
            hostname=host.name,
            hid=host.id,
            cid=host.cluster_id,
            vm_mad=host.vm_mad,
            ds_id=ds_id,
            stime=int(time.time()),
        )
        host.take(vm.id, vm.cpu, vm.memory)
        host.touch()

    def moved(self, vm: VM) -> None:
        """End a migration of a running VM: the old host gives its capacity back."""
        self.leave_old(vm)
        vm.stay.rstime = int(time.time())

    def moved_off(self, vm: VM) -> None:
        """End a migration of a parked VM."""
        self.leave_old(vm)
        vm.stay.pstime = vm.stay.petime = int(time.time())

    def leave_old(self, vm: VM) -> None:
        """End the stay before this one."""
        now, old = int(time.time()), vm.history[-2]
        old.etime = now
        old.retime = old.retime or now
        if old.hid != vm.stay.hid:
            self._free(vm, old.hid)

    def back(self, vm: VM) -> None:
        """Take a failed migration back: the VM runs on where it was."""
        failed = vm.history[-1]
        now = failed.etime = failed.retime = int(time.time())
        old = vm.history[-2]
        if old.hid != failed.hid:
            self._free(vm, failed.hid)
            self._take(vm, old.hid)
        old.etime = old.retime = now
        vm.open_stay(
            hostname=old.hostname,
            hid=old.hid,
            cid=old.cid,
            vm_mad=old.vm_mad,
            ds_id=old.ds_id,
            stime=now,
            rstime=now,
        )

    def gone(self, vm: VM) -> None:
        """Leave the host."""
        now = vm.stay.eetime = vm.stay.etime = int(time.time())
        vm.stay.retime = vm.stay.retime or now
        self._free(vm, vm.stay.hid)

    def gone_for_good(self, vm: VM) -> None:
        """Leave the host, and give the port of its console back."""
        self.gone(vm)
        for graphics in vm.template.vectors("GRAPHICS"):
            graphics.pop("PORT", None)

    def ended(self, vm: VM) -> None:
        """Leave the host and the cloud."""
        self.gone_for_good(vm)
        self.done(vm)

    def done(self, vm: VM) -> None:
        """Leave the cloud: addresses, images and groups are released."""
        vm.etime = int(time.time())
        leave(self._world, vm)

    def _take(self, vm: VM, hid: int) -> None:
        host = self._world.hosts.find(hid)
        if host:
            host.take(vm.id, vm.cpu, vm.memory)
            host.touch()

    def _free(self, vm: VM, hid: int) -> None:
        host = self._world.hosts.find(hid)
        if host:
            host.give_back(vm.id, vm.cpu, vm.memory)
            host.touch()


def note(vm: VM, caller: Caller, action: Action) -> None:
    """Note who ends a stay, and how."""
    stay = vm.stay
    stay.action, stay.uid, stay.gid = action, caller.uid, caller.gid
    stay.request_id = random.randrange(10000)  # noqa: S311  a number for the log


def leave_prolog(vm: VM) -> None:
    """End the first phase of a stay."""
    vm.stay.petime = vm.stay.rstime = int(time.time())


def enter_running(vm: VM) -> None:
    """Begin the second phase: nothing has ended it yet."""
    stay = vm.stay
    stay.etime = stay.retime = stay.action = 0
    stay.uid = stay.gid = stay.request_id = -1
    kind = stay.vm_mad
    vm.deploy_id = vm.deploy_id or (f"{stay.hostname}:{vm.name}:dummy" if kind == "dummy" else f"one-{vm.id}")


def leave_running(vm: VM) -> None:
    """End the second phase."""
    vm.stay.retime = int(time.time())


def enter_epilog(vm: VM) -> None:
    """Begin the third phase."""
    now = vm.stay.estime = int(time.time())
    vm.stay.retime = vm.stay.retime or now
