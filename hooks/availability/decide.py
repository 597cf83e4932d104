"""The state machine of incidents: from what is to steps, for one cluster. Pure.

A phase is written before its steps are taken, and each round derives the steps anew from the record and from
what is: a process that is killed anywhere, and another leader, proceed from there.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from hooks.availability import brakes, returning
from hooks.availability.alarms import alarm_once, kind_of, reported
from hooks.availability.evacuation import Evacuation, Place
from hooks.availability.evidence import Judgement, Source, Verdict
from hooks.availability.model import SETTLED, Cluster, Entry, Host, Incident, Phase, Stage, Vm
from hooks.availability.policy import Mode, Policy
from hooks.availability.protection import exposed, protect
from hooks.availability.steps import (
    Alarm,
    Fence,
    Forget,
    Step,
    Unlock,
    Wake,
    Withdraw,
    Write,
)
from hooks.availability.vm_states import Course, dispose
from onext.oned.objects import HostState

SUSPICION = 30.0  # seconds of silence after which a host is suspected
FENCE_AGAIN = 60.0  # seconds between two orders to the same BMC
MOST_FENCINGS = 3
_ACTIVE, _POWEROFF = 3, 8
_BOUND = (3, 5, 7, 8)  # ACTIVE, SUSPENDED, FAILED, POWEROFF: bound to their host


@dataclass(frozen=True)
class Round:
    """The input of a decision.

    `waited` are seconds for which this process has seen each incident in its phase, `suspected` since it
    began, both by a clock that only advances. `cleaned` hosts passed their check.
    """

    cluster: Cluster
    policy: Policy
    judgements: Mapping[int, Judgement]
    now: float
    waited: Mapping[int, float] = field(default_factory=dict)
    suspected: Mapping[int, float] = field(default_factory=dict)
    cleaned: frozenset[int] = frozenset()
    spares: tuple[int, ...] = ()  # sleeping hosts that could be woken

    def judgement(self, host: int) -> Judgement:
        """Return the verdict on a host; without evidence it is UNKNOWN."""
        return self.judgements.get(host, Judgement(Verdict.UNKNOWN, ("no evidence yet",)))


def decide(around: Round, place: Place) -> list[Step]:
    """Return the steps of this round, those of the longest-standing incident first."""
    if around.policy.mode is Mode.OFF and not around.cluster.incidents:
        return []
    steps: list[Step] = []
    hosts = {host.id: host for host in around.cluster.hosts}
    for incident in sorted(around.cluster.incidents.values(), key=lambda one: (one.first, one.host)):
        steps += _advance(around, incident, hosts.get(incident.host), place, steps)
    for host in around.cluster.hosts:
        if host.id not in around.cluster.incidents and (reason := suspicious(around, host)):
            steps += _open(around, host, reason)
    return steps


def suspicious(around: Round, host: Host) -> str:
    """Return why a host is suspected to have failed; in maintenance only its VMs are locked, against oned."""
    if around.policy.mode is Mode.OFF or host.claimed or host.state is HostState.OFFLINE:
        return ""
    if host.maintenance and not around.cluster.on(host.id):
        return ""  # nothing of it could run twice
    if host.state is HostState.ERROR:
        return "oned reports ERROR"
    if host.silent >= SUSPICION and around.cluster.on(host.id):
        return f"silent for {host.silent:.0f} s"
    if host.rebooted and around.cluster.on(host.id):
        return "it rebooted without being reported as failed"
    return ""


def _open(around: Round, host: Host, reason: str) -> list[Step]:
    entries = tuple(_entry(vm) for vm in around.cluster.on(host.id) if vm.state in _BOUND)
    incident = Incident(
        host.id, host.name, around.cluster.id, Phase.SUSPECT, around.now, around.now,
        reason=reason, boot_id=host.boot_id, error=host.error, entries=entries, bmc=host.bmc,
    )  # fmt: skip
    return [Write(incident)]


def _entry(vm: Vm) -> Entry:
    return Entry(vm.id, vm.seq, vm.priority)


def _advance(
    around: Round, incident: Incident, host: Host | None, place: Place, planned: Sequence[Step]
) -> list[Step]:
    if host is None:
        unlock = [Unlock(incident.host, entry.vm) for entry in incident.entries if entry.locked]
        alarm = Alarm(incident.host, f"host {incident.name} was removed during an incident")
        return [alarm, *unlock, Forget(incident.host)]
    if host.name != incident.name:
        return _hold(around, incident, f"it was renamed from {incident.name} to {host.name}: rename it back")
    if Source.PERSON in around.judgement(host.id).proofs and _shows_life(around, host):
        text = "its confirmation was withdrawn: it showed life afterwards"
        return [Withdraw(host.id), Alarm(host.id, text)]
    return _by_phase(around, incident, host, place, planned)


def _by_phase(
    around: Round, incident: Incident, host: Host, place: Place, planned: Sequence[Step]
) -> list[Step]:
    if incident.phase is Phase.RETURNING:
        return returning.steps(around, incident, host, SUSPICION)
    if around.judgement(host.id).verdict is Verdict.ALIVE:
        return [Write(_to(around, incident, Phase.RETURNING, "it answers and is monitored again"))]
    if incident.bmc != host.bmc:
        text = "its entry in bmc.yaml changed: evidence is collected again"
        changed = replace(incident, bmc=host.bmc, first=around.now, fencings=0, proof="", confirmed="")
        return [Write(_to(around, changed, Phase.CONFIRM, text))]
    if incident.phase in (Phase.FENCED, Phase.EVACUATING, Phase.DONE):
        return _evacuating(around, incident, place)
    return _before_proof(around, incident, host, planned)


def _shows_life(around: Round, host: Host) -> bool:
    return around.judgement(host.id).verdict in (Verdict.ALIVE, Verdict.DEGRADED, Verdict.ISOLATED)


def _before_proof(around: Round, incident: Incident, host: Host, planned: Sequence[Step]) -> list[Step]:
    if incident.phase is Phase.SUSPECT:
        return _suspect(around, incident, host)
    locks: Sequence[Step] = ()
    if around.policy.mode is Mode.AUTO:
        incident, locks = exposed(around.cluster, incident)
    locks = [*locks, *_flushed(around, incident)]
    incident = reported(incident, locks)
    noted = [Write(incident)] if incident != around.cluster.incidents[host.id] else []
    follow = _fencing if incident.phase is Phase.FENCING else _confirm
    return [*noted, *locks, *follow(around, incident, host, planned)]


def _flushed(around: Round, incident: Incident) -> list[Step]:
    """Report that a person ordered a flush: its VMs wait for a proof of death."""
    if not any(vm.resched for vm in around.cluster.on(incident.host)):
        return []
    return alarm_once(
        incident, "its VMs were to be rescheduled (`onehost flush`): they wait for a proof of death"
    )


def _suspect(around: Round, incident: Incident, host: Host) -> list[Step]:
    if around.policy.mode is Mode.AUTO:
        incident = _with_new_vms(around, incident)
        if steps := protect(around.cluster, incident, host):
            return steps
    return [Write(_to(around, incident, Phase.CONFIRM, incident.reason))]


def _confirm(around: Round, incident: Incident, host: Host, planned: Sequence[Step]) -> list[Step]:
    """Decide what follows once CONFIRM_SECONDS have passed; a held incident is decided anew each round."""
    if incident.phase is Phase.CONFIRM and around.suspected.get(host.id, 0.0) < around.policy.confirm:
        return _spares(around)
    incident = _with_new_vms(around, incident)
    judgement = around.judgement(host.id)
    if reason := brakes.held(around.cluster, incident, judgement, around.policy):
        return _hold(around, incident, reason)
    if not _needs_restart(around, incident):
        return [Write(_to(around, incident, Phase.DONE, "no VM of it has to be restarted"))]
    if judgement.verdict is Verdict.DEAD:
        return [
            Write(_to(around, replace(incident, proof=judgement.reasons[0]), Phase.FENCED, "proven dead"))
        ]
    return _fence_if_possible(around, incident, host, planned)


def _fence_if_possible(around: Round, incident: Incident, host: Host, planned: Sequence[Step]) -> list[Step]:
    if reason := _no_fencing(around, incident, host):
        return _hold(around, incident, reason)
    if reason := _busy(around, host.id, planned):
        return _hold(around, incident, reason, alarm=False)
    return _fence(around, incident, host)


def _no_fencing(around: Round, incident: Incident, host: Host) -> str:
    """Return why the host cannot be fenced, empty where it can."""
    judgement = around.judgement(host.id)
    if not incident.disabled:
        return "a person disabled it: it is not fenced; power it off, or run `onext ha confirm`"
    if not host.fence:
        wait = (
            "its lease has to expire" if host.armed else "it has no BMC and no lease: run `onext ha confirm`"
        )
        return f"no proof of death: {wait}"
    if incident.fencings >= MOST_FENCINGS:
        return f"{incident.fencings} fencings did not power it off: run `onext ha confirm` when it is off"
    if not judgement.powered:
        return f"its BMC or fence agent does not report power: {judgement.reasons[0]}"
    if brakes.proofs_needed(around.cluster) > 1 and not host.armed and Source.PERSON not in judgement.proofs:
        return "a cluster of two: before it is fenced, a person runs `onext ha confirm`"
    return ""


def _busy(around: Round, host: int, planned: Sequence[Step]) -> str:
    others = [i for i in around.cluster.incidents.values() if i.host != host and i.phase is Phase.FENCING]
    if others or any(isinstance(step, Fence) for step in planned):
        return "another host of the cluster is being fenced"
    if around.cluster.quiet < around.policy.quiet:
        return f"the last fencing in this cluster was {around.cluster.quiet:.0f} s ago"
    return ""


def _fence(around: Round, incident: Incident, host: Host) -> list[Step]:
    reason = "powering it off"
    ordered = replace(incident, fencings=incident.fencings + 1, fenced=around.now)
    return [Write(_to(around, ordered, Phase.FENCING, reason)), Fence(host.id)]


def _fencing(around: Round, incident: Incident, host: Host, planned: Sequence[Step]) -> list[Step]:
    judgement = around.judgement(host.id)
    if judgement.verdict is Verdict.DEAD:
        proven = replace(incident, proof=judgement.reasons[0])
        return [Write(_to(around, proven, Phase.FENCED, "proven dead"))]
    if reason := brakes.held(around.cluster, incident, judgement, around.policy):
        return _hold(around, incident, reason)
    if around.waited.get(host.id, 0.0) < FENCE_AGAIN:
        return []
    if reason := _no_fencing(around, incident, host):
        return _hold(around, incident, reason)
    if any(isinstance(step, Fence) for step in planned):
        return []
    return _fence(around, incident, host)


def _evacuating(around: Round, incident: Incident, place: Place) -> list[Step]:
    judgement = around.judgement(incident.host)
    incident = _with_new_vms(around, incident)
    locks: Sequence[Step] = ()
    if around.policy.mode is Mode.AUTO:
        incident, locks = exposed(around.cluster, incident)
    obstacle = _obstacle(around, incident, judgement)
    proven = not obstacle
    if not proven and incident.phase is Phase.FENCED:
        return _hold(around, incident, "the proof of death was not found again")
    if incident.phase is Phase.FENCED:
        return [Write(_to(around, incident, Phase.EVACUATING, incident.reason))]
    vms = {vm.id: vm for vm in around.cluster.vms}
    evacuation = Evacuation(incident, vms, around.policy, around.now, around.cluster.unread)
    after = evacuation.run(place, proven=proven)
    steps: list[Step] = [*locks, *evacuation.steps]
    if obstacle and any(entry.stage is Stage.WAITING for entry in after.entries):
        steps += alarm_once(incident, f"its VMs wait: {obstacle}")
    settled = all(entry.stage in SETTLED for entry in after.entries)
    phase = Phase.DONE if settled else Phase.EVACUATING
    if phase is not after.phase:
        after = _to(around, after, phase, "every VM is settled" if settled else "VMs were found on it")
    after = reported(after, steps)
    return [Write(after), *steps] if after != around.cluster.incidents[incident.host] else steps


def _obstacle(around: Round, incident: Incident, judgement: Judgement) -> str:
    """Return why no VM may restart now, empty where VMs may."""
    if reason := brakes.held(around.cluster, incident, judgement, around.policy):
        return reason
    if judgement.verdict is Verdict.DEAD:
        return ""
    return f"the proof of death was not found again: {next(iter(judgement.reasons), judgement.verdict.value)}"


def _needs_restart(around: Round, incident: Incident) -> bool:
    vms = {vm.id: vm for vm in around.cluster.vms}
    courses = [
        dispose(vms[e.vm], incident.host, around.policy.action, owners=around.policy.services).course
        for e in incident.entries
        if e.vm in vms and e.stage not in SETTLED
    ]
    return any(course not in (Course.GONE, Course.LEAVE, Course.STAY) for course in courses)


def _with_new_vms(around: Round, incident: Incident) -> Incident:
    """Add VMs that oned bound to the host later, such as one whose migration failed late."""
    known = {entry.vm for entry in incident.entries if entry.stage is not Stage.GONE}
    fresh = [vm for vm in around.cluster.on(incident.host) if vm.id not in known and vm.state in _BOUND]
    if not fresh:
        return incident
    ids = {vm.id for vm in fresh}
    kept = tuple(entry for entry in incident.entries if entry.vm not in ids)
    return replace(incident, entries=(*kept, *map(_entry, fresh)))


def _spares(around: Round) -> list[Step]:
    return (
        [Wake(host) for host in around.spares[: around.policy.spares]]
        if around.policy.mode is Mode.AUTO
        else []
    )


def _hold(around: Round, incident: Incident, reason: str, *, alarm: bool = True) -> list[Step]:
    """Hold an incident; a reason is reported once, one that ends by itself is not."""
    steps: list[Step] = alarm_once(incident, reason) if alarm else []
    kind = kind_of(reason)
    if incident.phase is Phase.HELD and kind_of(incident.reason) == kind:
        reason = incident.reason  # only figures in it differ: not worth a write in each round
    held = incident if incident.phase is Phase.HELD else _to(around, incident, Phase.HELD, reason)
    held = reported(replace(held, reason=reason), steps)
    return [Write(held), *steps] if held != around.cluster.incidents.get(incident.host) else []


def _to(around: Round, incident: Incident, phase: Phase, reason: str) -> Incident:
    return replace(incident, phase=phase, since=around.now, reason=reason)
