"""Carry out the steps of a decision, each checked once more at the moment before it is taken."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from hooks.availability import evidence, steps
from hooks.availability.evidence import Judgement, Verdict
from hooks.availability.model import Incident, Phase, Stage
from hooks.availability.policy import Policy
from hooks.availability.steps import Step
from hooks.availability.vm_states import dispose
from hooks.availability.world import Failed, Stopped, World
from onext import log

ADMIN, ACTIVE, RUNNING, POWEROFF = 3, 3, 3, 8  # lock level; states of VMs
ORDER_SECONDS = 30.0  # within which an order must follow the record that authorises it
_RESTARTS = (Phase.EVACUATING,)
_log = log.get("availability")


@dataclass
class Executor:
    """Takes steps for one cluster; a failure ends the steps of that host, not those of others."""

    world: World
    policy: Policy
    proofs_needed: int = 1
    cleaned: set[int] = field(default_factory=set)
    outcome: dict[int, str] = field(default_factory=dict)
    failed: dict[int, str] = field(default_factory=dict)  # hosts whose steps ended early, with the reason
    _written: dict[int, float] = field(default_factory=dict)  # when a write that returned had begun
    _back: dict[int, float] = field(default_factory=dict)  # until when a host counts as back

    def run(self, planned: Iterable[Step]) -> dict[int, str]:
        """Take the steps in order and return what became of each host's."""
        self.failed = {}
        for step in planned:
            host = step.incident.host if isinstance(step, steps.Write) else step.host
            if host in self.failed:
                continue
            try:
                self._take(step, host)
            except Failed as error:
                self.failed[host] = str(error)
                self.outcome[host] = f"tried again in the next round: {error}"
                _log.warning("host %d: not done: %s", host, error)
            except Stopped:
                return {**self.outcome, host: "stopped by `onext stop availability`"}
            except Exception as error:  # noqa: BLE001 - one host's records or answers never stop the others
                self.failed[host] = f"{type(error).__name__}: {error}"
                self.outcome[host] = f"failed: {type(error).__name__}: {error}"
                _log.exception("host %d: a step failed", host)
        return self.outcome

    def _take(self, step: Step, host: int) -> None:  # noqa: C901 - one case for each kind of step
        if self.world.stopped():
            raise Stopped
        match step:
            case steps.Write():
                self._write(step.incident)
            case steps.Hold():
                self.world.claim(host, "its availability incident is open")
            case steps.Disable():
                self.world.disable(host)
            case steps.Protect():
                self.world.protect(step.vm)
            case steps.DropPlan():
                self.world.drop_plan(step.cluster)
            case steps.Fence():
                self._fence(host)
            case steps.Wake():
                self.world.wake(host)
            case steps.Start():
                self._start(step)
            case steps.Recover():
                self.world.recover(step.vm)
            case steps.Boot():
                self._boot(step)
            case _:
                self._still_back(host)
                self._return(step, host)

    def _return(self, step: Step, host: int) -> None:  # noqa: C901
        match step:
            case steps.Back():
                self._see_again(step)
            case steps.Resume():
                self._resume(step)
            case steps.MoveBack():
                self._move_back(step)
            case steps.Unlock():
                self.world.unlock(step.vm)
            case steps.Relock():
                self.world.lock(step.vm, step.level)
            case steps.Clean():
                if self.world.clean(host):
                    self.cleaned.add(host)
            case steps.Enable():
                self._enable(host)
            case steps.Release():
                self.world.claim(host, "")
            case steps.Withdraw():
                self.world.withdraw(host)
            case steps.Forget():
                self.world.forget(host)
                self.cleaned.discard(host)
            case steps.Alarm():
                self.world.alarm(host, step.text)

    def _write(self, incident: Incident) -> None:
        own = replace(incident, server=self.world.server, term=self.world.term)
        began = self.world.monotonic()
        self.world.write(own)
        self._written[incident.host] = began
        self.outcome[incident.host] = f"{incident.phase.value}: {incident.reason}"

    def _own(self, host: int, phases: tuple[Phase, ...]) -> Incident:
        """Return the record if it still authorises what follows; raise Failed."""
        found = self.world.incident(host)
        if found is None or found.phase not in phases:
            raise Failed(f"host {host}: its record does not authorise this any more")
        if (found.server, found.term) != (self.world.server, self.world.term):
            raise Failed(f"host {host}: another server acts on this incident")
        if reason := self.world.forbidden(found):
            raise Failed(f"host {host}: {reason}")
        return found

    def _judge(self, host: int) -> Judgement:
        return evidence.judge(self.world.evidence(host), self.proofs_needed)

    def _fence(self, host: int) -> None:
        """Give the order within ORDER_SECONDS of a write that returned: a paused leader is too late."""
        deadline = self._written.get(host, float("-inf")) + ORDER_SECONDS
        self._own(host, (Phase.FENCING,))
        judgement = self._judge(host)
        isolated = judgement.verdict is Verdict.ISOLATED and self.policy.fence_isolated
        if judgement.verdict is not Verdict.UNKNOWN and not isolated:
            raise Failed(f"host {host} is not fenced: {judgement.verdict.value}, {judgement.reasons[0]}")
        if not judgement.powered:
            raise Failed(f"host {host} is not fenced: its BMC or fence agent does not report power now")
        if self.world.stopped():
            raise Stopped
        self.world.fence(host, deadline)

    def _start(self, step: steps.Start) -> None:
        deadline = self._prove(step)
        vm = self.world.vm(step.vm)
        if vm is None or vm.host != step.host:
            raise Failed(f"VM {step.vm}: it is not on host {step.host} any more")
        found = dispose(vm, step.host, self.policy.action, owners=self.policy.services)
        if found.course is not step.course:
            raise Failed(f"VM {step.vm}: {found.reason}")
        if self.world.stopped():
            raise Stopped
        self._in_time(step, deadline)
        if vm.lock:
            self.world.unlock(step.vm)
        try:
            self.world.start(step.vm, step.target, step.course, deadline)
        except Failed:
            self.world.lock(step.vm, vm.lock or ADMIN)  # unlocked, OpenNebula's planners would start it
            raise

    def _prove(self, step: steps.Start | steps.Boot) -> float:
        """Return until when the start may be ordered.

        Raise Failed unless the record names this start and the host is proven dead now.
        """
        began = self.world.monotonic()
        entry = self._own(step.host, _RESTARTS).entry(step.vm)
        if entry is None or entry.stage is not Stage.STARTED or entry.target != step.target:
            raise Failed(f"VM {step.vm}: its start on host {step.target} is not recorded")
        if self._judge(step.host).verdict is not Verdict.DEAD:
            raise Failed(f"VM {step.vm} is not started: no fresh proof that host {step.host} is dead")
        return began + evidence.FRESH

    def _in_time(self, step: steps.Start | steps.Boot, deadline: float) -> None:
        """Raise Failed where this process was paused since the proof: the host may be back by now."""
        if self.world.monotonic() > deadline:
            raise Failed(f"VM {step.vm} is not started: the proof of death is too old by now")

    def _boot(self, step: steps.Boot) -> None:
        """Resume a VM that was moved while POWEROFF; from here on it runs, so death is proven again."""
        deadline = self._prove(step)
        vm = self.world.vm(step.vm)
        if vm is None or vm.host != step.target or vm.state != POWEROFF:
            raise Failed(f"VM {step.vm}: it is not in POWEROFF on host {step.target} any more")
        if self.world.stopped():
            raise Stopped
        self._in_time(step, deadline)
        if vm.lock:
            self.world.unlock(step.vm)
        self.world.resume(step.vm)

    def _resume(self, step: steps.Resume) -> None:
        vm = self.world.vm(step.vm)
        if vm is not None and vm.host == step.host and vm.parked_by == "monitoring":
            self.world.resume(step.vm)

    def _move_back(self, step: steps.MoveBack) -> None:
        self._own(step.host, (Phase.RETURNING,))
        vm = self.world.vm(step.vm)
        if vm is None or (vm.state, vm.lcm) != (ACTIVE, RUNNING) or vm.lock or vm.host == step.host:
            raise Failed(f"VM {step.vm} does not run elsewhere any more: it is not moved back")
        self.world.move_back(step.vm, step.host)

    def _see_again(self, step: steps.Back) -> None:
        began = self.world.monotonic()
        if self.world.incident(step.host) != step.incident:
            raise Failed(f"host {step.host}: its record changed")
        if self._judge(step.host).verdict is not Verdict.ALIVE:
            raise Failed(f"host {step.host}: it does not answer any more")
        self._back[step.host] = began + evidence.FRESH

    def _still_back(self, host: int) -> None:
        """Raise Failed where this process was paused since the host was seen again: it may have failed."""
        if self.world.monotonic() > self._back.get(host, float("inf")):
            raise Failed(f"host {host}: it was seen alive too long ago")

    def _enable(self, host: int) -> None:
        if host not in self._back and self._judge(host).verdict is not Verdict.ALIVE:
            raise Failed(f"host {host} is not enabled: it does not answer")
        self.world.enable(host)
