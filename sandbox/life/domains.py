"""What really runs on the machines behind the hosts, whatever oned believes of it."""

from sandbox.state.host import Host
from sandbox.state.names import LCM, VMState
from sandbox.state.pools import Pool
from sandbox.state.vm import VM

_PARKED = frozenset(
    (VMState.POWEROFF, VMState.SUSPENDED, VMState.STOPPED, VMState.UNDEPLOYED, VMState.DONE, VMState.PENDING)
)
_ON_HYPERVISOR = frozenset(
    lcm for lcm in LCM if lcm.name.startswith(("BOOT", "SAVE_", "SHUTDOWN")) and "FAILURE" not in lcm.name
)


def follow(hosts: Pool[Host], vm: VM) -> None:
    """Start or end the VM's process as its new state means; a host that is cut off keeps what it runs."""
    if not vm.history:
        return
    here = hosts.find(vm.stay.hid)
    runs = vm.state == VMState.ACTIVE and vm.lcm == LCM.RUNNING
    if here and here.machine.alive:
        if runs:
            here.machine.running.add(vm.id)
        elif vm.state in _PARKED:
            here.machine.running.discard(vm.id)
    for stay in vm.history[:-1] if runs else ():
        there = hosts.find(stay.hid)
        if there and there is not here and there.machine.alive:
            there.machine.running.discard(vm.id)


def works(hosts: Pool[Host], vm: VM) -> bool:
    """Tell whether the hypervisors answer that the VM's present step needs; storage needs none."""
    stays = vm.history[-2:] if vm.lcm == LCM.MIGRATE else vm.history[-1:]
    if vm.lcm != LCM.MIGRATE and vm.lcm not in _ON_HYPERVISOR:
        return True
    if vm.lcm == LCM.SAVE_MIGRATE:
        stays = vm.history[-2:-1]
    found = [hosts.find(stay.hid) for stay in stays]
    return all(host is not None and host.machine.alive for host in found)
