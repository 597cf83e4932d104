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

ORDER_SECONDS = 30.0  # within which an order must follow the record that authorises it
_RESTARTS = (Phase.EVACUATING,)


@dataclass
class Executor:
    """Takes steps for one cluster; a failure ends the steps of that host, not those of others."""

    world: World
    policy: Policy
    proofs_needed: int = 1
    cleaned: set[int] = field(default_factory=set)
    outcome: dict[int, str] = field(default_factory=dict)

    def run(self, planned: Iterable[Step]) -> dict[int, str]:
        """Take the steps in order and return what became of each host's."""
        failed: set[int] = set()
        for step in planned:
            host = step.incident.host if isinstance(step, steps.Write) else step.host
            if host in failed:
                continue
            try:
                self._take(step, host)
            except Failed as error:
                failed.add(host)
                self.outcome[host] = f"tried again in the next round: {error}"
            except Stopped:
                return {**self.outcome, host: "stopped by `onext stop availability`"}
        return self.outcome

    def _take(self, step: Step, host: int) -> None:
        if self.world.stopped():
            raise Stopped
        match step:
            case steps.Write():
                self._write(step.incident)
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
            case _:
                self._return(step, host)

    def _return(self, step: Step, host: int) -> None:
        match step:
            case steps.Resume():
                self._resume(step)
            case steps.Unlock():
                self.world.unlock(step.vm)
            case steps.Relock():
                self.world.lock(step.vm, step.level)
            case steps.Clean():
                if self.world.clean(host):
                    self.cleaned.add(host)
            case steps.Enable():
                self._enable(host)
            case steps.Forget():
                self.world.forget(host)
                self.cleaned.discard(host)
            case steps.Alarm():
                self.world.alarm(host, step.text)

    def _write(self, incident: Incident) -> None:
        own = replace(incident, server=self.world.server, term=self.world.term)
        self.world.write(own)
        self.outcome[incident.host] = f"{incident.phase.value}: {incident.reason}"

    def _own(self, host: int, phases: tuple[Phase, ...]) -> Incident:
        """Return the record if it still authorises what follows; raise Failed."""
        found = self.world.incident(host)
        if found is None or found.phase not in phases:
            raise Failed(f"host {host}: its record does not authorise this any more")
        if (found.server, found.term) != (self.world.server, self.world.term):
            raise Failed(f"host {host}: another server acts on this incident")
        return found

    def _judge(self, host: int) -> Judgement:
        return evidence.judge(self.world.evidence(host), self.proofs_needed)

    def _fence(self, host: int) -> None:
        began = self.world.monotonic()
        self._own(host, (Phase.FENCING,))
        judgement = self._judge(host)
        isolated = judgement.verdict is Verdict.ISOLATED and self.policy.fence_isolated
        if judgement.verdict is not Verdict.UNKNOWN and not isolated:
            raise Failed(f"host {host} is not fenced: {judgement.verdict.value}, {judgement.reasons[0]}")
        if self.world.stopped():
            raise Stopped
        self.world.fence(host, began + ORDER_SECONDS)

    def _start(self, step: steps.Start) -> None:
        incident = self._own(step.host, _RESTARTS)
        entry = incident.entry(step.vm)
        if entry is None or entry.stage is not Stage.STARTED or entry.target != step.target:
            raise Failed(f"VM {step.vm}: its start on host {step.target} is not recorded")
        judgement = self._judge(step.host)
        if judgement.verdict is not Verdict.DEAD:
            raise Failed(f"VM {step.vm} is not started: no fresh proof that host {step.host} is dead")
        vm = self.world.vm(step.vm)
        if vm is None or vm.host != step.host:
            raise Failed(f"VM {step.vm}: it is not on host {step.host} any more")
        found = dispose(vm, step.host, self.policy.action, owners=self.policy.services)
        if found.course is not step.course:
            raise Failed(f"VM {step.vm}: {found.reason}")
        if self.world.stopped():
            raise Stopped
        if vm.lock:
            self.world.unlock(step.vm)
        self.world.start(step.vm, step.target, step.course)

    def _resume(self, step: steps.Resume) -> None:
        vm = self.world.vm(step.vm)
        if vm is not None and vm.host == step.host and vm.parked_by == "monitoring":
            self.world.resume(step.vm)

    def _enable(self, host: int) -> None:
        if self._judge(host).verdict is not Verdict.ALIVE:
            raise Failed(f"host {host} is not enabled: it does not answer")
        self.world.enable(host)
