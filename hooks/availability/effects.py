"""The effects of availability on a real cloud: oned, the host's BMC, `virsh` and `onehost sync` over ssh."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TypeVar

from hooks.availability import cluster_view
from hooks.availability.collect_evidence import Subject, collect
from hooks.availability.evidence import Evidence
from hooks.availability.model import Incident, Vm
from hooks.availability.records import CONFIRMATION, INCIDENT, PAUSE
from hooks.availability.returned_host import Returned
from hooks.availability.timeline import Timeline
from hooks.availability.vm_states import Course
from hooks.availability.world import Failed
from onext import log
from onext.cloud import model, parse
from onext.hosts.actions import wake
from onext.hosts.actions.actuator import Actuator
from onext.hosts.actions.effects import Effects as HostEffects
from onext.hosts.actions.world import Failed as NotDone
from onext.hosts.actions.world import Stopped as PowerStopped
from onext.hosts.bmc.config import BmcConfig
from onext.hosts.bmc.errors import BmcError
from onext.hosts.claims import HOST_RECORDS, HostRecord, plain
from onext.hosts.deciders import Mandate
from onext.hosts.model import Claim, Phase
from onext.hosts.orders import MAINTENANCE, Order
from onext.oned import stream
from onext.oned.documents import Documents, Stored
from onext.oned.errors import NotFound, OnedError, Refused
from onext.oned.objects import HostState
from onext.part import Context
from onext.xml import MalformedXML

ADMIN, SAVE, POWEROFF_HARD = 3, 0, 2  # lock level, migration types
ENABLED, DISABLED, RECOVER_FAILURE, RECREATE = 0, 1, 0, 4  # of one.host.status and one.vm.recover
NO_DATASTORE, HOLDER = -1, "availability"
_log = log.get("availability")
T = TypeVar("T")


@dataclass
class Effects:
    """What one server does, in the Raft term in which its round began."""

    context: Context
    config: BmcConfig
    server: int
    term: int
    subjects: Callable[[int], Subject]
    shared: frozenset[int]
    trusted: bool
    report: Callable[[int, str], None]
    folder: Path
    fenced: Callable[[int], None] = lambda _: None
    known: Mapping[int, Stored[Incident]] = field(default_factory=dict)  # on which the decision rests
    mandate: Mandate | None = None

    def __post_init__(self) -> None:
        self._stored = dict(self.known)
        self.timeline = Timeline(self.folder)
        self.pauses: Documents[Order] = Documents(self.context.oned, PAUSE, self.context.now)
        self.maintained: Documents[Order] = Documents(self.context.oned, MAINTENANCE, self.context.now)
        self.incidents: Documents[Incident] = Documents(self.context.oned, INCIDENT, self.context.now)
        self.confirmations: Documents[Order] = Documents(self.context.oned, CONFIRMATION, self.context.now)

    def now(self) -> float:
        """Return the Unix time."""
        return self.context.now()

    def monotonic(self) -> float:
        """Return seconds of a clock that only advances, also while this machine is suspended."""
        return time.clock_gettime(time.CLOCK_BOOTTIME)

    def stopped(self) -> bool:
        """Return whether the part is stopped."""
        return self.context.stopped("availability")

    def evidence(self, host: int) -> Sequence[Evidence]:
        """Collect evidence now and keep it in the incident's timeline."""
        subject = self.subjects(host)
        if subject.confirmed is not None:  # as of the round's begin: it may have been withdrawn
            stored = _tried(lambda: self.confirmations.get(host))
            subject = replace(subject, confirmed=subject.confirmed if stored and stored.value else None)
        found = collect(subject, self.config, self.context.settings)
        lines = [f"{one.source.value}: {one.finding.value} {one.detail}".strip() for one in found]
        self._record(host, "evidence", lines)
        return found

    def incident(self, host: int) -> Incident | None:
        """Read the record of a host's incident afresh; an invalid one authorises nothing."""
        stored = _tried(lambda: self.incidents.get(host))
        if stored is None:
            return None
        if stored.value is None:
            raise Failed(stored.problem)
        self._stored[host] = stored
        return stored.value

    def write(self, incident: Incident) -> None:
        """Write a record, unless another server changed it since the decision was made."""
        self._hold_mandate()
        before = self._stored.get(incident.host)
        version = before.version if before else None
        self._stored[incident.host] = _tried(lambda: self.incidents.put(incident.host, incident, version))
        self._record(incident.host, incident.phase.value, [incident.reason])
        _log.info("host %d (%s): %s: %s", incident.host, incident.name, incident.phase.value, incident.reason)

    def _hold_mandate(self) -> None:
        """Keep power management and other servers from this cluster; a renewal is a write of the zone."""
        try:
            if self.mandate is not None:
                self.mandate.hold()
        except NotDone as error:
            raise Failed(str(error)) from error

    def forbidden(self, incident: Incident) -> str:
        """Return why a step that cannot be taken back is forbidden now; what cannot be read forbids it."""
        if _tried(lambda: self.pauses.get(incident.cluster)) is not None:
            return "availability is paused in this cluster"
        if _tried(lambda: self.maintained.get(incident.host)) is not None:
            return "the host is in maintenance"
        host = self._host(incident.host)
        if host.name != incident.name:
            return f"it was renamed from {incident.name} to {host.name}"
        if host.state == HostState.OFFLINE:
            return "it is OFFLINE: a person or power management set that"
        return ""

    def _host(self, host: int) -> model.Host:
        element = _tried(lambda: stream.single(self.context.oned.source, "host.info", host, False))
        found = parse.safely(parse.host, model.Host, element)
        if found is None or found.problem:
            raise Failed(f"host {host} cannot be read: {found.problem if found else 'no id'}")
        return found

    def withdraw(self, host: int) -> None:
        """Delete a person's confirmation of a host's death."""
        stored = _tried(lambda: self.confirmations.get(host))
        if stored is not None:
            _tried(lambda: self.confirmations.remove(host, stored.version))
            self._record(host, "confirmation withdrawn", ["the host showed life after it"])

    def forget(self, host: int) -> None:
        """Delete the record unless another server changed it since the decision; the timeline stays."""
        before = self._stored.get(host)
        if before is not None:
            _tried(lambda: self.incidents.remove(host, before.version))
        confirmed = _tried(lambda: self.confirmations.get(host))
        if confirmed is not None:
            _tried(lambda: self.confirmations.remove(host, confirmed.version))
        self._stored.pop(host, None)
        self._record(host, "closed", [])

    def vm(self, vm: int) -> Vm | None:
        """Read a VM afresh."""
        try:
            element = stream.single(self.context.oned.source, "vm.info", vm, False)
        except NotFound:
            return None
        except OnedError as error:
            raise Failed(str(error)) from error
        found = parse.safely(parse.vm, model.Vm, element)
        if found is None or found.problem:
            raise Failed(f"VM {vm} cannot be read: {found.problem if found else 'no id'}")
        return cluster_view.vm_of(found, self.shared, trusted=self.trusted)

    def disable(self, host: int) -> None:
        """Disable a host, unless a person or power management closed it meanwhile."""
        if self._host(host).state not in (HostState.DISABLED, HostState.OFFLINE):
            self._call("host.status", host, DISABLED)

    def enable(self, host: int) -> None:
        """Enable a host that is still as we left it."""
        if self._host(host).state == HostState.DISABLED:
            self._call("host.status", host, ENABLED)

    def protect(self, vm: int) -> None:
        """Clear RESCHED while the VM can still be changed, then lock it."""
        found = self.vm(vm)
        if found is None:
            return
        if found.resched and not found.lock:
            self._call("vm.action", "unresched", vm)
        if not found.lock:
            self._call("vm.lock", vm, ADMIN, False)

    def lock(self, vm: int, level: int) -> None:
        """Lock a VM."""
        self._call("vm.lock", vm, level, False)

    def unlock(self, vm: int) -> None:
        """Unlock a VM; one that is gone needs none."""
        try:
            self.context.oned.call("vm.unlock", vm)
        except NotFound:
            return
        except OnedError as error:
            raise Failed(str(error)) from error

    def drop_plan(self, cluster: int) -> None:
        """Delete OneDRS's plan; releases without the call have no plan either."""
        try:
            self.context.oned.call("cluster.plandelete", cluster)
        except (NotFound, Refused):
            return
        except OnedError as error:
            raise Failed(str(error)) from error

    def fence(self, host: int, deadline: float) -> None:
        """Cut the host's power unless the deadline has passed."""
        if self.monotonic() > deadline:
            raise Failed(f"host {host}: the order to power it off came too late")
        settings = self.context.settings
        timeout = min(settings.power.bmc_timeout, max(1.0, deadline - self.monotonic()))
        self._hold_mandate()
        self._record(host, "order", ["power off, hard"])
        self.fenced(host)
        try:
            self.config.bmc(host, timeout=timeout, ssh_config=settings.geolocation.ssh_config).hard_off(
                not_after=deadline
            )
        except BmcError as error:
            self._record(host, "order failed", [str(error)])
            _log.warning("host %d: its BMC did not accept the order: %s", host, error)  # its state decides

    def wake(self, host: int) -> None:
        """Wake a host that power management has asleep, by the action that power management uses, too."""
        world = HostEffects(self.context, self.config, self.server, self.term)
        try:
            text = wake.wake(Actuator(world, mandate=self.mandate), host, "a spare for a failed host")
        except (NotDone, PowerStopped) as error:
            raise Failed(f"host {host} is not woken: {error or 'power is stopped'}") from error
        self._record(host, "spare", [text])

    def claim(self, host: int, held: str) -> None:
        """Claim a host for as long as its incident is open, or release it (empty): power leaves it alone."""
        documents = Documents(self.context.oned, HOST_RECORDS, self.context.now)
        stored = _tried(lambda: documents.get(host))
        if stored is not None and stored.value is None:
            raise Failed(stored.problem)
        before = stored.value if stored and stored.value else HostRecord(plain(self._host(host).name))
        left = before.claim is not None and before.claim.phase is Phase.LEFT  # binds no server
        if left:
            before = replace(before, claim=None)
        if before.claim is not None and before.claim.holder != HOLDER:
            raise Failed(f"host {host}: {before.claim.holder} works on it: {before.claim.reason}")
        if (before.claim is not None) == bool(held):
            return
        claim = Claim(Phase.HELD, self.now(), self.server, self.term, reason=held, holder=HOLDER)
        after = replace(before, claim=claim if held else None)
        _tried(lambda: documents.put(host, after, stored.version if stored else None))

    def start(self, vm: int, target: int, course: Course, deadline: float) -> None:
        """Start a VM elsewhere: oned checks capacity, and the disks stay in their datastore."""
        found = self.vm(vm)
        if self.monotonic() > deadline:
            raise Failed(f"VM {vm} is not started: the proof of death is too old by now")
        if course is Course.RECREATE:
            self._call("vm.recover", vm, RECREATE)
            return
        kind = POWEROFF_HARD if found is not None and found.pci else SAVE
        self._call("vm.migrate", vm, target, False, True, NO_DATASTORE, kind)

    def recover(self, vm: int) -> None:
        """Report the VM's last step to oned as failed."""
        self._call("vm.recover", vm, RECOVER_FAILURE)

    def resume(self, vm: int) -> None:
        """Resume a VM on its host."""
        self._call("vm.action", "resume", vm)

    def move_back(self, vm: int, host: int) -> None:
        """Migrate a RUNNING VM live; oned checks capacity."""
        self._call("vm.migrate", vm, host, True, True, NO_DATASTORE, SAVE)

    def clean(self, host: int) -> bool:
        """Check libvirt twice; destroy VMs that oned has RUNNING elsewhere; then sync the drivers."""
        name, paths = self.subjects(host).name, self.context.paths
        config = self.context.settings.geolocation.ssh_config
        return Returned(
            host, name, paths, config, self.vm, partial(self._record, host), self.monotonic
        ).clean()

    def alarm(self, host: int, text: str) -> None:
        """Report to people."""
        self._record(host, "alarm", [text])
        self.report(host, text)

    def _call(self, method: str, *arguments: object) -> None:
        _tried(lambda: self.context.oned.call(method, *arguments))

    def _record(self, host: int, what: str, lines: Sequence[str]) -> None:
        self.timeline.add(self.now(), host, what, lines)


def _tried(call: Callable[[], T]) -> T:
    try:
        return call()
    except (OnedError, MalformedXML) as error:
        raise Failed(str(error)) from error
