"""Chains of states: entering one tells the hooks; after a moment follows the next, or its failure."""

import threading
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import NamedTuple

from sandbox.errors import ActionError
from sandbox.state.names import LCM, VMState
from sandbox.state.vm import VM
from sandbox.timeline import Timeline

ACTIVE = VMState.ACTIVE


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
    LCM.PROLOG_MIGRATE_UNKNOWN: (ACTIVE, LCM.PROLOG_MIGRATE_UNKNOWN_FAILURE),
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


class Chains:
    """Lets VMs go through their chains; the caller holds the front-end's lock."""

    def __init__(
        self,
        *,
        timeline: Timeline,
        seconds: Callable[[], float],
        lock: threading.RLock,
        changed: Callable[[VM], None],
        works: Callable[[VM], bool],
        undo: Mapping[LCM, Callable[[VM], None]],
    ) -> None:
        self._timeline, self._seconds, self._lock, self._changed = timeline, seconds, lock, changed
        self._works, self._undo = works, undo
        self._rest: dict[int, Sequence[Step]] = {}
        self._now: dict[int, Step] = {}

    def go(self, vm: VM, *steps: Step) -> None:
        """Begin a chain: its first state at once, the others in their time."""
        vm.journey += 1
        self._enter(vm, steps)

    def _enter(self, vm: VM, steps: Sequence[Step]) -> None:
        step, self._rest[vm.id] = steps[0], steps[1:]
        self._now[vm.id] = step
        vm.state, vm.lcm = step.state, step.lcm
        if step.entered:
            step.entered(vm)
        self._changed(vm)
        if steps[1:]:
            self._timeline.later(self._seconds(), partial(self._leave, vm, vm.journey))

    def _leave(self, vm: VM, journey: int) -> None:
        with self._lock:
            if vm.journey != journey:
                return
            if vm.lcm.name in vm.faults or not self._works(vm):
                self.fail(vm)
            else:
                self._enter(vm, self._rest[vm.id])

    def fail(self, vm: VM) -> None:
        """End the present state as a failure."""
        vm.faults.discard(vm.lcm.name)
        state, lcm = FAILURES.get(vm.lcm, (ACTIVE, LCM.RUNNING))
        failed, rest = self._now.get(vm.id), self._rest.get(vm.id, ())
        self.go(vm, Step(state, lcm, self._undo.get(vm.lcm)))
        if failed:
            self._now[vm.id], self._rest[vm.id] = failed, rest

    def carry_on(self, vm: VM) -> None:
        """Continue the chain that failed, as `recover --success` does."""
        self._again(vm, self._rest.get(vm.id, ()))

    def retry(self, vm: VM) -> None:
        """Do the step that failed again, as `recover --retry` does."""
        steps = (self._now[vm.id], *self._rest.get(vm.id, ())) if vm.id in self._now else ()
        self._again(vm, steps)

    def _again(self, vm: VM, steps: Sequence[Step]) -> None:
        if vm.state != ACTIVE or not steps or vm.lcm == LCM.RUNNING:
            raise ActionError(f"Could not perform a recover operation on VM {vm.id} in state {vm.said}")
        vm.journey += 1
        self._enter(vm, steps)
