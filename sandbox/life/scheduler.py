"""A small scheduler: PENDING VMs, oldest first, onto MONITORED hosts where they fit and which they want."""

import time
from typing import TYPE_CHECKING

from sandbox.life.requirements import RequirementsError, matches
from sandbox.life.vms import Move
from sandbox.state.access import Caller
from sandbox.state.history import SCHEDULER
from sandbox.state.host import Host
from sandbox.state.names import LCM, HostState, VMState
from sandbox.state.vm import VM

if TYPE_CHECKING:
    from sandbox.frontend import FrontEnd

_SYSTEM_DATASTORE = 0
_ONEADMIN = Caller(0, 0, "oneadmin", "oneadmin", frozenset({0}))


class Scheduler:
    """Places VMs. Among the hosts that will do it takes the one with the fewest VMs (policy: striping)."""

    def __init__(self, front: "FrontEnd") -> None:
        self._front = front
        self.asleep = False

    def start(self) -> None:
        """Begin the rounds."""
        self._front.timeline.every(self._front.pace.schedule, self.round)

    def round(self) -> None:
        """Place what can be placed."""
        if self.asleep:
            return
        with self._front.lock:
            waiting = [vm for vm in self._front.world.vms if vm.state == VMState.PENDING]
            hosts = [host for host in self._front.world.hosts if host.state == HostState.MONITORED]
            for vm in sorted(waiting, key=lambda vm: vm.id):
                self._place(vm, hosts)
            for vm in [vm for vm in self._front.world.vms if vm.resched and not vm.lock]:
                self._replace(vm, hosts)

    def _replace(self, vm: VM, hosts: list[Host]) -> None:
        """Migrate a VM whose RESCHED is set: cold, as LIVE_RESCHEDS = 0 has it, and without any proof."""
        if vm.state != VMState.ACTIVE or vm.lcm not in (LCM.RUNNING, LCM.UNKNOWN):
            return
        others = [host for host in hosts if host.id != vm.stay.hid and not host.lacks(vm.cpu, vm.memory)]
        fitting = [host for host in others if self._wants(vm, host)]
        if fitting:
            best = min(fitting, key=lambda host: (host.share.running_vms, host.id))
            self._front.vm_life.migrate(vm, _ONEADMIN, Move(best, vm.stay.ds_id))

    def _place(self, vm: VM, hosts: list[Host]) -> None:
        try:
            wanted = [host for host in hosts if self._wants(vm, host)]
        except RequirementsError as error:
            self._say(vm, f"Error parsing SCHED_REQUIREMENTS: {error}")
            return
        fitting = [host for host in wanted if not host.lacks(vm.cpu, vm.memory)]
        if fitting:
            best = min(fitting, key=lambda host: (host.share.running_vms, host.id))
            ds_id = vm.stay.ds_id if vm.history else _SYSTEM_DATASTORE
            self._front.vm_life.deploy(vm, best, ds_id, SCHEDULER)
        elif wanted:
            self._say(vm, "No host with enough capacity to deploy the VM")
        else:
            self._say(vm, "No host meets SCHED_REQUIREMENTS")

    def _wants(self, vm: VM, host: Host) -> bool:
        expressions = (vm.template.get("AUTOMATIC_REQUIREMENTS"), vm.user_template.get("SCHED_REQUIREMENTS"))
        return all(matches(one, lambda name: attribute(host, name)) for one in expressions) and self._groups(
            vm, host
        )

    def _groups(self, vm: VM, host: Host) -> bool:
        for wanted in vm.template.vectors("VMGROUP"):
            group = self._front.world.vmgroups.find(int(wanted["VMGROUP_ID"]))
            role = group.role(wanted["ROLE"]) if group else None
            if role is None:
                continue
            others = {other for other in role.vms if other != vm.id}
            if role.policy == "ANTI_AFFINED" and others & set(host.vms):
                return False
            placed = {one.id for one in self._front.world.hosts if others & set(one.vms)}
            if role.policy == "AFFINED" and placed and host.id not in placed:
                return False
            affined = role.hosts("HOST_AFFINED")
            if (affined and host.id not in affined) or host.id in role.hosts("HOST_ANTI_AFFINED"):
                return False
        return True

    def _say(self, vm: VM, reason: str) -> None:
        if not vm.user_template.get("SCHED_MESSAGE").endswith(f"Cannot dispatch VM: {reason}"):
            vm.user_template.put("SCHED_MESSAGE", f"{time.ctime()}: Cannot dispatch VM: {reason}")
            vm.touch()


def attribute(host: Host, name: str) -> str:
    """Return what a requirement may ask of a host."""
    share = host.share
    own = {
        "ID": host.id,
        "NAME": host.name,
        "CLUSTER_ID": host.cluster_id,
        "CLUSTER": host.cluster,
        "STATE": int(host.state),
        "FREE_CPU": share.max_cpu - share.cpu_usage,
        "FREE_MEMORY": share.max_mem - share.mem_usage,
        "RUNNING_VMS": share.running_vms,
    }
    return str(own[name]) if name in own else host.template.get(name)
