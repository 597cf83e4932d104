"""The end of an incident: the host is back, and serves again once none of its VMs runs twice. Pure."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from hooks.availability.alarms import alarm_once, reported
from hooks.availability.evidence import Verdict
from hooks.availability.failback import move_back
from hooks.availability.model import Host, Incident, Phase, Vm
from hooks.availability.steps import Back, Clean, Enable, Forget, Release, Resume, Step, Unlock, Write
from onext.oned.objects import HostState

if TYPE_CHECKING:
    from hooks.availability.decide import Round

RETURN_TIMEOUT = 600.0  # seconds after which a host that is back and does not serve is reported
_POWEROFF = 8


def steps(around: Round, incident: Incident, host: Host, suspicion: float) -> list[Step]:
    """Return the steps of this round; a host that is silent for `suspicion` seconds is suspected again."""
    return _overdue(around, incident, host, suspicion) or _decided(around, incident, host, suspicion)


def _decided(around: Round, incident: Incident, host: Host, suspicion: float) -> list[Step]:
    """Let the host serve again only when none of its VMs runs twice."""
    verdict = around.judgement(host.id).verdict
    if verdict is not Verdict.ALIVE:
        if host.silent < suspicion:
            return []
        reason = f"silent again for {host.silent:.0f} s"
        anew = replace(incident, first=around.now, fencings=0, proof="", confirmed="")
        return [Write(replace(anew, phase=Phase.SUSPECT, since=around.now, reason=reason))]
    if host.id not in around.cleaned:
        return [Clean(host.id)]
    if around.policy.failback and not host.maintenance:
        if incident.disabled and host.state is HostState.DISABLED:
            return [Enable(host.id)]
        vms = {vm.id: vm for vm in around.cluster.vms}
        after, moves = move_back(incident, vms, around.policy.max_parallel)
        if moves:
            return [Write(after), *moves]
    return _close(around, incident, host)


def _overdue(around: Round, incident: Incident, host: Host, suspicion: float) -> list[Step]:
    """Report, once, a host that has been back for long and does not serve."""
    if around.waited.get(host.id, 0.0) <= RETURN_TIMEOUT or host.silent >= suspicion:
        return []
    reason = _unserved(around, incident)
    alarms = alarm_once(incident, f"it is back and does not serve yet: {reason}") if reason else []
    return [Write(reported(incident, alarms)), *alarms] if alarms else []


def _unserved(around: Round, incident: Incident) -> str:
    """Return why a host that is back does not serve yet; empty while VMs move back to it."""
    judgement = around.judgement(incident.host)
    if judgement.verdict is not Verdict.ALIVE:
        return f"it is not in order: {next(iter(judgement.reasons), judgement.verdict.value)}"
    if incident.host not in around.cleaned:
        return "its libvirt was not found in order (`onext ha history`, the log)"
    return "" if around.policy.failback else "its incident could not be closed (the log has the reason)"


def _close(around: Round, incident: Incident, host: Host) -> list[Step]:
    """Unlock what we locked; enable the host that we disabled, unless a person works on it."""
    vms = {vm.id: vm for vm in around.cluster.vms}
    found: list[Step] = [Back(incident.host, incident)]
    found += [Unlock(incident.host, entry.vm) for entry in incident.entries if entry.locked]
    if incident.disabled and not host.maintenance:
        found.append(Enable(incident.host))
    if not host.maintenance:
        found += [
            Resume(incident.host, e.vm) for e in incident.entries if _parked_here(vms.get(e.vm), incident)
        ]
    return [*found, *([Release(host.id)] if host.held else []), Forget(incident.host)]


def _parked_here(vm: Vm | None, incident: Incident) -> bool:
    return (
        vm is not None and vm.host == incident.host and vm.state == _POWEROFF and vm.parked_by == "monitoring"
    )
