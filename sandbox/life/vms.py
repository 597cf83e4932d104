"""The life of VMs: which chain of states each action begins, as src/lcm and src/dm of OpenNebula do it."""

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sandbox.life.chain import ACTIVE, Chains, Step
from sandbox.life.domains import works
from sandbox.life.stays import Stays, enter_epilog, enter_running, leave_prolog, leave_running, note
from sandbox.state.access import Caller
from sandbox.state.history import Action
from sandbox.state.host import Host
from sandbox.state.names import LCM, VMState
from sandbox.state.vm import VM

if TYPE_CHECKING:
    from sandbox.frontend import FrontEnd


@dataclass(frozen=True)
class Move:
    """Where one.vm.migrate brings a VM, and how: `cold` is what happens to one that is not moved live."""

    host: Host
    ds_id: int
    live: bool = False
    cold: Action = Action.MIGRATE


class VMLife:
    """Lets VMs go from state to state."""

    def __init__(self, front: "FrontEnd") -> None:
        self._front = front
        self.stays = Stays(front.world)
        self._chains = Chains(
            timeline=front.timeline,
            seconds=lambda: front.pace.step,
            lock=front.lock,
            changed=front.vm_changed,
            works=lambda vm: works(front.world.hosts, vm),
            undo={LCM.MIGRATE: self.stays.back, LCM.SAVE_MIGRATE: self.stays.back},
        )

    def start(self) -> None:
        """Begin the rounds of monitoring."""
        self._front.timeline.every(self._front.pace.monitor, self.monitor)

    def monitor(self) -> None:
        """Take one message of every running VM on a host that sends any."""
        with self._front.lock:
            for vm in self._front.world.vms:
                if (
                    vm.state == ACTIVE
                    and vm.lcm == LCM.RUNNING
                    and self._front.world.hosts.get(vm.stay.hid).machine.alive
                ):
                    vm.measure(self._front.pace.keep)
                    vm.touch_monitoring()

    def turn(self, vm: VM, state: VMState) -> None:
        """Change between states in which a VM has no host."""
        self._chains.go(vm, Step(state, LCM.LCM_INIT))

    def fail(self, vm: VM) -> None:
        """End the present state as a failure, as `recover --failure` does."""
        if vm.lcm == LCM.UNKNOWN:
            self.found(vm)
        elif vm.lcm == LCM.PROLOG_MIGRATE_UNKNOWN_FAILURE:
            self.stays.back(vm)
            self._chains.go(vm, *self._restart())
        else:
            self._chains.fail(vm)

    def carry_on(self, vm: VM) -> None:
        """Take the present step as done, as `recover --success` does."""
        if vm.lcm == LCM.UNKNOWN:
            self.found(vm)
        else:
            self._chains.carry_on(vm)

    def retry(self, vm: VM) -> None:
        """Do the step that failed again."""
        self._chains.retry(vm)

    def deploy(self, vm: VM, host: Host, ds_id: int, plan: int) -> None:
        """Bring a VM that has no host to one."""
        prolog, boot = {
            VMState.STOPPED: (LCM.PROLOG_RESUME, LCM.BOOT_STOPPED),
            VMState.UNDEPLOYED: (LCM.PROLOG_UNDEPLOY, LCM.BOOT_UNDEPLOY),
        }.get(vm.state, (LCM.PROLOG, LCM.BOOT))
        self.stays.arrive(vm, host, ds_id, plan)
        self._chains.go(
            vm,
            Step(ACTIVE, prolog),
            Step(ACTIVE, boot, leave_prolog),
            Step(ACTIVE, LCM.RUNNING, enter_running),
        )

    def poweroff(self, vm: VM, caller: Caller, action: Action) -> None:
        """Shut a VM down; it stays bound to its host."""
        note(vm, caller, action)
        self._chains.go(
            vm, Step(ACTIVE, LCM.SHUTDOWN_POWEROFF), Step(VMState.POWEROFF, LCM.LCM_INIT, leave_running)
        )

    def suspend(self, vm: VM, caller: Caller) -> None:
        """Save a VM on its host, to which it stays bound."""
        note(vm, caller, Action.SUSPEND)
        self._chains.go(
            vm, Step(ACTIVE, LCM.SAVE_SUSPEND), Step(VMState.SUSPENDED, LCM.LCM_INIT, leave_running)
        )

    def stop(self, vm: VM, caller: Caller) -> None:
        """Save a VM and free its host."""
        note(vm, caller, Action.STOP)
        saving = [] if vm.state == VMState.SUSPENDED else [Step(ACTIVE, LCM.SAVE_STOP)]
        epilog = Step(ACTIVE, LCM.EPILOG_STOP, enter_epilog)
        self._chains.go(vm, *saving, epilog, Step(VMState.STOPPED, LCM.LCM_INIT, self.stays.gone))

    def undeploy(self, vm: VM, caller: Caller, action: Action) -> None:
        """Shut a VM down and free its host."""
        note(vm, caller, action)
        ending = [] if vm.state == VMState.POWEROFF else [Step(ACTIVE, LCM.SHUTDOWN_UNDEPLOY)]
        epilog = Step(ACTIVE, LCM.EPILOG_UNDEPLOY, enter_epilog)
        self._chains.go(vm, *ending, epilog, Step(VMState.UNDEPLOYED, LCM.LCM_INIT, self.stays.gone_for_good))

    def terminate(self, vm: VM, caller: Caller, action: Action) -> None:
        """End a VM."""
        if vm.state in (VMState.PENDING, VMState.HOLD, VMState.STOPPED, VMState.UNDEPLOYED):
            self._chains.go(vm, Step(VMState.DONE, LCM.LCM_INIT, self.stays.done))
            return
        note(vm, caller, action)
        running = vm.state == ACTIVE and vm.lcm in (LCM.RUNNING, LCM.UNKNOWN)
        ending = [Step(ACTIVE, LCM.SHUTDOWN)] if running else []
        self._chains.go(
            vm,
            *ending,
            Step(ACTIVE, LCM.EPILOG, enter_epilog),
            Step(VMState.DONE, LCM.LCM_INIT, self.stays.ended),
        )

    def delete(self, vm: VM, caller: Caller) -> None:
        """End a VM from whatever state it is in, as `recover --delete` does."""
        if vm.history and not vm.stay.etime:
            note(vm, caller, Action.DELETE)
            steps = (
                Step(ACTIVE, LCM.CLEANUP_DELETE, enter_epilog),
                Step(VMState.DONE, LCM.LCM_INIT, self.stays.ended),
            )
            self._chains.go(vm, *steps)
        else:
            self._chains.go(vm, Step(VMState.DONE, LCM.LCM_INIT, self.stays.done))

    def resume(self, vm: VM, caller: Caller) -> None:
        """Continue: on the same host, past the scheduler, or as PENDING without a host."""
        boot = {
            VMState.POWEROFF: LCM.BOOT_POWEROFF,
            VMState.SUSPENDED: LCM.BOOT_SUSPENDED,
            ACTIVE: LCM.BOOT_UNKNOWN,
        }.get(vm.state)
        if boot is None:
            self._chains.go(vm, Step(VMState.PENDING, LCM.LCM_INIT))
            return
        if vm.state != ACTIVE:
            now = vm.stay.etime = int(time.time())
            vm.open_stay(stime=now, rstime=now, plan_id=vm.stay.plan_id)
            note(vm, caller, Action.RESUME)
        self._chains.go(vm, Step(ACTIVE, boot), Step(ACTIVE, LCM.RUNNING, enter_running))

    def migrate(self, vm: VM, caller: Caller, move: Move) -> None:
        """Bring a VM to another host, or another datastore."""
        running = vm.state == ACTIVE and vm.lcm == LCM.RUNNING
        note(vm, caller, Action.LIVE_MIGRATE if move.live and running else move.cold)
        vm.resched = 0
        self.stays.move(vm, move.host, move.ds_id)
        if running:
            self._chains.go(vm, *(self._live() if move.live else self._cold(move.cold)))
        elif vm.state == ACTIVE:
            self.stays.leave_old(vm)
            self._chains.go(vm, *self._restart())
        else:
            passing = {
                VMState.POWEROFF: LCM.PROLOG_MIGRATE_POWEROFF,
                VMState.SUSPENDED: LCM.PROLOG_MIGRATE_SUSPEND,
            }[vm.state]
            self._chains.go(vm, Step(ACTIVE, passing), Step(vm.state, LCM.LCM_INIT, self.stays.moved_off))

    @staticmethod
    def _restart() -> tuple[Step, ...]:
        return (
            Step(ACTIVE, LCM.PROLOG_MIGRATE_UNKNOWN),
            Step(ACTIVE, LCM.BOOT, leave_prolog),
            Step(ACTIVE, LCM.RUNNING, enter_running),
        )

    def _live(self) -> tuple[Step, ...]:
        return (Step(ACTIVE, LCM.MIGRATE), Step(ACTIVE, LCM.RUNNING, self.stays.moved))

    def _cold(self, action: Action) -> tuple[Step, ...]:
        boot = LCM.BOOT_MIGRATE if action == Action.MIGRATE else LCM.BOOT
        return (
            Step(ACTIVE, LCM.SAVE_MIGRATE),
            Step(ACTIVE, LCM.PROLOG_MIGRATE),
            Step(ACTIVE, boot),
            Step(ACTIVE, LCM.RUNNING, self.stays.moved),
        )

    def reboot(self, vm: VM) -> None:
        """Do nothing that shows: a reboot changes no state."""
        vm.touch()

    def crash(self, vm: VM) -> None:
        """Let monitoring find the VM powered off."""
        stay = vm.stay
        stay.action, stay.uid, stay.gid, stay.request_id, vm.resched = Action.MONITOR, -1, -1, -1, 0
        self._chains.go(vm, Step(VMState.POWEROFF, LCM.LCM_INIT, leave_running))

    def lost(self, vm: VM) -> None:
        """Let monitoring lose the VM."""
        vm.resched = 0
        self._chains.go(vm, Step(ACTIVE, LCM.UNKNOWN))

    def found(self, vm: VM) -> None:
        """Let monitoring find the VM running; one that was off begins another stay."""
        vm.lost = False
        if vm.state != ACTIVE:
            now = vm.stay.etime = int(time.time())
            vm.open_stay(stime=now, rstime=now, plan_id=vm.stay.plan_id)
        self._chains.go(vm, Step(ACTIVE, LCM.RUNNING))

    def host_died(self, host: Host) -> None:
        """Lose every VM that ran there; those on their way wait for their drivers (trigger_monitor_done)."""
        for vm in self._of(host):
            if vm.state == ACTIVE and vm.lcm == LCM.RUNNING:
                self.lost(vm)

    def synchronise(self, host: Host) -> None:
        """Take the list of the VMs that run there, as the state probe sends it (MISSING_STATE = POWEROFF)."""
        for vm in self._of(host):
            if vm.lost:
                continue
            runs = vm.id in host.machine.running
            believed = vm.state == ACTIVE and vm.lcm in (LCM.RUNNING, LCM.UNKNOWN)
            if believed and not runs:
                self.crash(vm)
            elif runs and (vm.lcm == LCM.UNKNOWN or vm.state in (VMState.POWEROFF, VMState.SUSPENDED)):
                self.found(vm)
        host.note_zombies()

    def _of(self, host: Host) -> list[VM]:
        vms = [self._front.world.vms.find(number) for number in list(host.vms)]
        return [vm for vm in vms if vm and vm.history and vm.stay.hid == host.id]
