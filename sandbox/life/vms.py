"""The life of VMs: chains of states, and what each change does to hosts and records.

Follows src/lcm and src/dm of OpenNebula 7.0.2. A chain is a list of steps; entering one tells the hooks,
leaving it after `Pace.step` seconds enters the next. A fault that a test planted ends the chain in that
state's failure.
"""

import random
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from sandbox.assembly import leave
from sandbox.errors import ActionError
from sandbox.state.access import Caller
from sandbox.state.history import Action, History
from sandbox.state.host import Host
from sandbox.state.names import LCM, VMState
from sandbox.state.vm import VM

if TYPE_CHECKING:
    from sandbox.frontend import FrontEnd

ACTIVE = VMState.ACTIVE
_FIRST_PORT = 5900


class Step(NamedTuple):
    """A state of a chain; `entered` is done before the hooks hear of it."""

    state: VMState
    lcm: LCM
    entered: Callable[[VM], None] | None = None


# Where a chain ends when a state fails; what is not here falls back to RUNNING.
FAILURES: dict[LCM, tuple[VMState, LCM]] = {
    LCM.PROLOG: (ACTIVE, LCM.PROLOG_FAILURE),
    LCM.BOOT: (ACTIVE, LCM.BOOT_FAILURE),
    LCM.BOOT_MIGRATE: (ACTIVE, LCM.BOOT_MIGRATE_FAILURE),
    LCM.PROLOG_MIGRATE: (ACTIVE, LCM.PROLOG_MIGRATE_FAILURE),
    LCM.PROLOG_MIGRATE_POWEROFF: (ACTIVE, LCM.PROLOG_MIGRATE_POWEROFF_FAILURE),
    LCM.PROLOG_MIGRATE_SUSPEND: (ACTIVE, LCM.PROLOG_MIGRATE_SUSPEND_FAILURE),
    LCM.PROLOG_RESUME: (ACTIVE, LCM.PROLOG_RESUME_FAILURE),
    LCM.PROLOG_UNDEPLOY: (ACTIVE, LCM.PROLOG_UNDEPLOY_FAILURE),
    LCM.BOOT_STOPPED: (ACTIVE, LCM.BOOT_STOPPED_FAILURE),
    LCM.BOOT_UNDEPLOY: (ACTIVE, LCM.BOOT_UNDEPLOY_FAILURE),
    LCM.BOOT_POWEROFF: (VMState.POWEROFF, LCM.LCM_INIT),
    LCM.BOOT_SUSPENDED: (VMState.SUSPENDED, LCM.LCM_INIT),
    LCM.BOOT_UNKNOWN: (ACTIVE, LCM.UNKNOWN),
    LCM.EPILOG: (ACTIVE, LCM.EPILOG_FAILURE),
    LCM.EPILOG_STOP: (ACTIVE, LCM.EPILOG_STOP_FAILURE),
    LCM.EPILOG_UNDEPLOY: (ACTIVE, LCM.EPILOG_UNDEPLOY_FAILURE),
}


class VMLife:
    """Lets VMs go from state to state."""

    def __init__(self, front: "FrontEnd") -> None:
        self._front = front
        self._rest: dict[int, Sequence[Step]] = {}

    def start(self) -> None:
        """Begin the rounds of monitoring."""
        self._front.timeline.every(self._front.pace.monitor, self.monitor)

    def monitor(self) -> None:
        """Take one message of every running VM on a host that sends any."""
        with self._front.lock:
            for vm in self._front.world.vms:
                if vm.state == ACTIVE and vm.lcm == LCM.RUNNING and self._host(vm.stay.hid).machine.alive:
                    vm.measure(self._front.pace.keep)
                    vm.touch_monitoring()

    def go(self, vm: VM, *steps: Step) -> None:
        """Begin a chain: its first state at once, the others in their time."""
        vm.journey += 1
        self._enter(vm, steps)

    def _enter(self, vm: VM, steps: Sequence[Step]) -> None:
        step, self._rest[vm.id] = steps[0], steps[1:]
        vm.state, vm.lcm = step.state, step.lcm
        if step.entered:
            step.entered(vm)
        self._front.vm_changed(vm)
        if steps[1:]:
            self._front.timeline.later(self._front.pace.step, partial(self._leave, vm, vm.journey))

    def _leave(self, vm: VM, journey: int) -> None:
        with self._front.lock:
            if vm.journey != journey:
                return
            if vm.lcm.name in vm.faults:
                self.fail(vm)
            else:
                self._enter(vm, self._rest[vm.id])

    def fail(self, vm: VM) -> None:
        """End the present state as a failure."""
        vm.faults.discard(vm.lcm.name)
        state, lcm = FAILURES.get(vm.lcm, (ACTIVE, LCM.RUNNING))
        rest = self._rest.get(vm.id, ())
        undo = self._back if vm.lcm == LCM.MIGRATE else None
        self.go(vm, Step(state, lcm, undo))
        self._rest[vm.id] = rest

    def carry_on(self, vm: VM) -> None:
        """Go on with the chain that failed, as `recover --success` and `--retry` do."""
        rest = self._rest.get(vm.id, ())
        if vm.state != ACTIVE or not rest:
            raise ActionError(f"Could not perform a recover operation on VM {vm.id} in state {vm.said}")
        vm.journey += 1
        self._enter(vm, rest)

    def deploy(self, vm: VM, host: Host, ds_id: int, plan: int) -> None:
        """Bring a VM that has no host to one."""
        prolog, boot = {
            VMState.STOPPED: (LCM.PROLOG_RESUME, LCM.BOOT_STOPPED),
            VMState.UNDEPLOYED: (LCM.PROLOG_UNDEPLOY, LCM.BOOT_UNDEPLOY),
        }.get(vm.state, (LCM.PROLOG, LCM.BOOT))
        self.arrive(vm, host, ds_id, plan)
        self.go(
            vm, Step(ACTIVE, prolog), Step(ACTIVE, boot, _prolog_done), Step(ACTIVE, LCM.RUNNING, _running)
        )

    def arrive(self, vm: VM, host: Host, ds_id: int, plan: int) -> None:
        """Begin a stay of a VM that has no host: its record, the host's capacity, its port."""
        now = int(time.time())
        tm_mad = self._front.world.datastores.get(ds_id).template.get("TM_MAD")
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

    def poweroff(self, vm: VM, caller: Caller, action: Action) -> None:
        """Shut a guest down; it stays bound to its host."""
        _note(vm, caller, action)
        self.go(vm, Step(ACTIVE, LCM.SHUTDOWN_POWEROFF), Step(VMState.POWEROFF, LCM.LCM_INIT, _not_running))

    def suspend(self, vm: VM, caller: Caller) -> None:
        """Save a guest on its host, to which it stays bound."""
        _note(vm, caller, Action.SUSPEND)
        self.go(vm, Step(ACTIVE, LCM.SAVE_SUSPEND), Step(VMState.SUSPENDED, LCM.LCM_INIT, _not_running))

    def stop(self, vm: VM, caller: Caller) -> None:
        """Save a guest and free its host."""
        _note(vm, caller, Action.STOP)
        saving = [] if vm.state == VMState.SUSPENDED else [Step(ACTIVE, LCM.SAVE_STOP)]
        epilog = Step(ACTIVE, LCM.EPILOG_STOP, _epilog)
        self.go(vm, *saving, epilog, Step(VMState.STOPPED, LCM.LCM_INIT, self._gone))

    def undeploy(self, vm: VM, caller: Caller, action: Action) -> None:
        """Shut a guest down and free its host."""
        _note(vm, caller, action)
        ending = [] if vm.state == VMState.POWEROFF else [Step(ACTIVE, LCM.SHUTDOWN_UNDEPLOY)]
        epilog = Step(ACTIVE, LCM.EPILOG_UNDEPLOY, _epilog)
        self.go(vm, *ending, epilog, Step(VMState.UNDEPLOYED, LCM.LCM_INIT, self._gone_for_good))

    def terminate(self, vm: VM, caller: Caller, action: Action) -> None:
        """End a VM."""
        if vm.state in (VMState.PENDING, VMState.HOLD, VMState.STOPPED, VMState.UNDEPLOYED):
            self.go(vm, Step(VMState.DONE, LCM.LCM_INIT, self._done))
            return
        _note(vm, caller, action)
        running = vm.state == ACTIVE and vm.lcm in (LCM.RUNNING, LCM.UNKNOWN)
        ending = [Step(ACTIVE, LCM.SHUTDOWN)] if running else []
        self.go(vm, *ending, Step(ACTIVE, LCM.EPILOG, _epilog), Step(VMState.DONE, LCM.LCM_INIT, self._ended))

    def delete(self, vm: VM, caller: Caller) -> None:
        """End a VM from whatever state it is in, as `recover --delete` does."""
        if vm.history and not vm.stay.etime:
            _note(vm, caller, Action.DELETE)
            steps = (Step(ACTIVE, LCM.CLEANUP_DELETE, _epilog), Step(VMState.DONE, LCM.LCM_INIT, self._ended))
            self.go(vm, *steps)
        else:
            self.go(vm, Step(VMState.DONE, LCM.LCM_INIT, self._done))

    def resume(self, vm: VM, caller: Caller) -> None:
        """Go on: on the same host, past the scheduler, or as PENDING where there is no host."""
        boot = {
            VMState.POWEROFF: LCM.BOOT_POWEROFF,
            VMState.SUSPENDED: LCM.BOOT_SUSPENDED,
            ACTIVE: LCM.BOOT_UNKNOWN,
        }.get(vm.state)
        if boot is None:
            self.go(vm, Step(VMState.PENDING, LCM.LCM_INIT))
            return
        if vm.state != ACTIVE:
            now = vm.stay.etime = int(time.time())
            vm.open_stay(stime=now, rstime=now, plan_id=vm.stay.plan_id)
            _note(vm, caller, Action.RESUME)
        self.go(vm, Step(ACTIVE, boot), Step(ACTIVE, LCM.RUNNING, _running))

    def migrate(self, vm: VM, host: Host, caller: Caller, *, live: bool) -> None:
        """Bring a guest to another host."""
        if vm.state == ACTIVE and vm.lcm == LCM.RUNNING:
            chain = self._live() if live else self._cold()
        else:
            passing, back = {
                VMState.POWEROFF: (
                    LCM.PROLOG_MIGRATE_POWEROFF,
                    Step(VMState.POWEROFF, LCM.LCM_INIT, self._moved_off),
                ),
                VMState.SUSPENDED: (
                    LCM.PROLOG_MIGRATE_SUSPEND,
                    Step(VMState.SUSPENDED, LCM.LCM_INIT, self._moved_off),
                ),
            }.get(vm.state, (LCM.PROLOG_MIGRATE_UNKNOWN, Step(ACTIVE, LCM.RUNNING, self._moved)))
            chain = (Step(ACTIVE, passing), back)
        _note(vm, caller, Action.LIVE_MIGRATE if live else Action.MIGRATE)
        now = int(time.time())
        vm.open_stay(hostname=host.name, hid=host.id, cid=host.cluster_id, vm_mad=host.vm_mad, stime=now)
        host.take(vm.id, vm.cpu, vm.memory)
        host.touch()
        self.go(vm, *chain)

    def _live(self) -> tuple[Step, ...]:
        return (Step(ACTIVE, LCM.MIGRATE), Step(ACTIVE, LCM.RUNNING, self._moved))

    def _cold(self) -> tuple[Step, ...]:
        return (
            Step(ACTIVE, LCM.SAVE_MIGRATE),
            Step(ACTIVE, LCM.PROLOG_MIGRATE),
            Step(ACTIVE, LCM.BOOT_MIGRATE),
            Step(ACTIVE, LCM.RUNNING, self._moved),
        )

    def reboot(self, vm: VM) -> None:
        """Do nothing that shows: a reboot changes no state."""
        vm.touch()

    def crash(self, vm: VM) -> None:
        """Let monitoring find the guest powered off."""
        vm.stay.action = Action(Action.POWEROFF)
        self.go(vm, Step(VMState.POWEROFF, LCM.LCM_INIT, _not_running))

    def lost(self, vm: VM) -> None:
        """Let monitoring lose the guest."""
        self.go(vm, Step(ACTIVE, LCM.UNKNOWN))

    def found(self, vm: VM) -> None:
        """Let monitoring find the guest running."""
        self.go(vm, Step(ACTIVE, LCM.RUNNING))

    def _moved(self, vm: VM) -> None:
        self._leave_old(vm)
        vm.stay.rstime = int(time.time())

    def _moved_off(self, vm: VM) -> None:
        self._leave_old(vm)
        vm.stay.pstime = vm.stay.petime = int(time.time())

    def _leave_old(self, vm: VM) -> None:
        now, old = int(time.time()), vm.history[-2]
        old.etime = now
        old.retime = old.retime or now
        self._free(vm, old.hid)

    def _back(self, vm: VM) -> None:
        failed = vm.history[-1]
        now = failed.etime = failed.retime = int(time.time())
        self._free(vm, failed.hid)
        old = vm.history[-2]
        old.etime = old.retime = now
        vm.open_stay(
            hostname=old.hostname, hid=old.hid, cid=old.cid, vm_mad=old.vm_mad, stime=now, rstime=now
        )

    def _gone(self, vm: VM) -> None:
        now = vm.stay.eetime = vm.stay.etime = int(time.time())
        vm.stay.retime = vm.stay.retime or now
        self._free(vm, vm.stay.hid)

    def _gone_for_good(self, vm: VM) -> None:
        self._gone(vm)
        for graphics in vm.template.vectors("GRAPHICS"):
            graphics.pop("PORT", None)

    def _ended(self, vm: VM) -> None:
        self._gone_for_good(vm)
        self._done(vm)

    def _done(self, vm: VM) -> None:
        vm.etime = int(time.time())
        leave(self._front.world, vm)

    def _free(self, vm: VM, hid: int) -> None:
        host = self._front.world.hosts.find(hid)
        if host:
            host.give_back(vm.id, vm.cpu, vm.memory)
            host.touch()

    def _host(self, hid: int) -> Host:
        return self._front.world.hosts.get(hid)


def _note(vm: VM, caller: Caller, action: Action) -> None:
    stay = vm.stay
    stay.action, stay.uid, stay.gid = action, caller.uid, caller.gid
    stay.request_id = random.randrange(10000)  # noqa: S311  a number for the log


def _prolog_done(vm: VM) -> None:
    vm.stay.petime = vm.stay.rstime = int(time.time())


def _running(vm: VM) -> None:
    stay = vm.stay
    stay.etime = stay.retime = stay.action = 0
    stay.uid = stay.gid = stay.request_id = -1
    kind = stay.vm_mad
    vm.deploy_id = vm.deploy_id or (f"{stay.hostname}:{vm.name}:dummy" if kind == "dummy" else f"one-{vm.id}")


def _not_running(vm: VM) -> None:
    vm.stay.retime = int(time.time())


def _epilog(vm: VM) -> None:
    now = vm.stay.estime = int(time.time())
    vm.stay.retime = vm.stay.retime or now
