"""The life of VMs: which chain of states each action begins, as src/lcm and src/dm of OpenNebula do it."""

import time
from typing import TYPE_CHECKING

from sandbox.life.chain import ACTIVE, Chains, Step
from sandbox.life.stays import Stays, enter_epilog, enter_running, leave_prolog, leave_running, note
from sandbox.state.access import Caller
from sandbox.state.history import Action
from sandbox.state.host import Host
from sandbox.state.names import LCM, VMState
from sandbox.state.vm import VM

if TYPE_CHECKING:
    from sandbox.frontend import FrontEnd


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
            undo={LCM.MIGRATE: self.stays.back},
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
        """End the present state as a failure."""
        self._chains.fail(vm)

    def carry_on(self, vm: VM) -> None:
        """Go on after a failure."""
        self._chains.carry_on(vm)

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
        """Shut a guest down; it stays bound to its host."""
        note(vm, caller, action)
        self._chains.go(
            vm, Step(ACTIVE, LCM.SHUTDOWN_POWEROFF), Step(VMState.POWEROFF, LCM.LCM_INIT, leave_running)
        )

    def suspend(self, vm: VM, caller: Caller) -> None:
        """Save a guest on its host, to which it stays bound."""
        note(vm, caller, Action.SUSPEND)
        self._chains.go(
            vm, Step(ACTIVE, LCM.SAVE_SUSPEND), Step(VMState.SUSPENDED, LCM.LCM_INIT, leave_running)
        )

    def stop(self, vm: VM, caller: Caller) -> None:
        """Save a guest and free its host."""
        note(vm, caller, Action.STOP)
        saving = [] if vm.state == VMState.SUSPENDED else [Step(ACTIVE, LCM.SAVE_STOP)]
        epilog = Step(ACTIVE, LCM.EPILOG_STOP, enter_epilog)
        self._chains.go(vm, *saving, epilog, Step(VMState.STOPPED, LCM.LCM_INIT, self.stays.gone))

    def undeploy(self, vm: VM, caller: Caller, action: Action) -> None:
        """Shut a guest down and free its host."""
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
        """Go on: on the same host, past the scheduler, or as PENDING where there is no host."""
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

    def migrate(self, vm: VM, host: Host, caller: Caller, *, live: bool) -> None:
        """Bring a guest to another host."""
        if vm.state == ACTIVE and vm.lcm == LCM.RUNNING:
            chain = self._live() if live else self._cold()
        else:
            passing, back = {
                VMState.POWEROFF: (
                    LCM.PROLOG_MIGRATE_POWEROFF,
                    Step(VMState.POWEROFF, LCM.LCM_INIT, self.stays.moved_off),
                ),
                VMState.SUSPENDED: (
                    LCM.PROLOG_MIGRATE_SUSPEND,
                    Step(VMState.SUSPENDED, LCM.LCM_INIT, self.stays.moved_off),
                ),
            }.get(vm.state, (LCM.PROLOG_MIGRATE_UNKNOWN, Step(ACTIVE, LCM.RUNNING, self.stays.moved)))
            chain = (Step(ACTIVE, passing), back)
        note(vm, caller, Action.LIVE_MIGRATE if live else Action.MIGRATE)
        self.stays.move(vm, host)
        self._chains.go(vm, *chain)

    def _live(self) -> tuple[Step, ...]:
        return (Step(ACTIVE, LCM.MIGRATE), Step(ACTIVE, LCM.RUNNING, self.stays.moved))

    def _cold(self) -> tuple[Step, ...]:
        return (
            Step(ACTIVE, LCM.SAVE_MIGRATE),
            Step(ACTIVE, LCM.PROLOG_MIGRATE),
            Step(ACTIVE, LCM.BOOT_MIGRATE),
            Step(ACTIVE, LCM.RUNNING, self.stays.moved),
        )

    def reboot(self, vm: VM) -> None:
        """Do nothing that shows: a reboot changes no state."""
        vm.touch()

    def crash(self, vm: VM) -> None:
        """Let monitoring find the guest powered off."""
        vm.stay.action = Action(Action.POWEROFF)
        self._chains.go(vm, Step(VMState.POWEROFF, LCM.LCM_INIT, leave_running))

    def lost(self, vm: VM) -> None:
        """Let monitoring lose the guest."""
        self._chains.go(vm, Step(ACTIVE, LCM.UNKNOWN))

    def found(self, vm: VM) -> None:
        """Let monitoring find the guest running."""
        self._chains.go(vm, Step(ACTIVE, LCM.RUNNING))
