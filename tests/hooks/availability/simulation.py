"""A model of a cloud with failing hosts, in which the availability part decides and acts on a virtual clock.

It keeps two views apart: the truth (which machine is powered, which VM instances really run where) and what
oned, probes, BMCs and storage report. `Violation` is raised when a VM runs on two hosts, or when a host is
fenced although evidence showed it alive.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from hooks.availability import brakes, evidence
from hooks.availability.act import Executor
from hooks.availability.decide import Round, decide
from hooks.availability.evidence import Evidence, Finding, Source
from hooks.availability.model import Cluster, Host, Incident, Phase, Vm
from hooks.availability.policy import Policy
from hooks.availability.vm_states import Course
from hooks.availability.world import Failed
from onext.oned.objects import HostState

ACTIVE, POWEROFF, SUSPENDED = 3, 8, 5
RUNNING, UNKNOWN, BOOT, BOOT_FAILURE, PROLOG_UNKNOWN, PROLOG_UNKNOWN_FAILURE = 3, 16, 2, 36, 60, 61
TICK = 10.0
MONITOR_TIMEOUT = 180.0  # silence after which oned reports ERROR
PLANNER_DELAY = 60.0  # after which oned's planners restart an UNKNOWN VM that is not locked


class Violation(AssertionError):
    """Something happened that must never happen."""


class Killed(BaseException):
    """The process ended by SIGKILL."""


@dataclass
class Machine:
    """The truth about one machine and its controller."""

    id: int
    on: bool = True
    hung: bool = False
    network: bool = True  # to the front-end
    peers: bool = True  # to the other hosts
    storage: bool = True
    has_bmc: bool = True
    bmc: str = "ok"  # ok, silent, other (another machine's), stuck (accepts orders, does nothing)
    slow_off: float = 0.0  # seconds from the order to off
    armed: bool = False
    lease_until: float = 0.0
    running: set[int] = field(default_factory=set)
    fails_starts: bool = False
    capacity: int = 4
    asleep: bool = False
    off_at: float | None = None
    boot: int = 1
    error: str = ""
    mute: bool = False  # its monitoring probes fail
    unsure: bool = False  # its libvirt does not answer when it is back

    @property
    def serves(self) -> bool:
        """Return whether its operating system works."""
        return self.on and not self.hung

    def power_off(self) -> None:
        """Lose power: every instance ends."""
        self.on, self.hung, self.off_at = False, False, None
        self.running.clear()


@dataclass
class Hosted:
    """A host as oned has it."""

    id: int
    state: HostState = HostState.MONITORED
    heard: float = 0.0
    boot: int = 1  # of the instance that ran its VMs
    maintenance: bool = False
    claimed: bool = False
    held: bool = False
    bmc: str = ""


@dataclass
class Cloud:
    """Truth, oned's view, records and the clock."""

    machines: dict[int, Machine]
    hosts: dict[int, Hosted]
    vms: dict[int, Vm]
    policy: Policy
    clock: float = 1000.0
    offset: float = 1.7e9  # wall time minus clock
    records: dict[int, Incident] = field(default_factory=dict)
    history: list[str] = field(default_factory=list)
    alarms: list[str] = field(default_factory=list)
    confirmed: set[int] = field(default_factory=set)
    plan: bool = False
    paused: bool = False
    halted: bool = False
    unattended: bool = False  # no process of ours works, for longer than oned's planners wait
    oned_up: bool = True
    leader: tuple[int, int] = (0, 1)
    fenced_at: float = -1e9
    unknown_since: dict[int, float] = field(default_factory=dict)
    booting: dict[int, float] = field(default_factory=dict)
    ready_after: dict[int, float] = field(default_factory=dict)
    violated: str = ""  # it stays: what takes steps survives any exception
    planner: bool = True  # oned's own planners restart UNKNOWN VMs

    def log(self, text: str) -> None:
        """Add a line to the timeline."""
        self.history.append(f"{self.clock - 1000:6.0f}  {text}")

    def check(self) -> None:
        """Raise Violation when a VM runs on two hosts, or when one was recorded before."""
        if self.violated:
            raise Violation(f"{self.violated}\n{self.timeline()}")
        seen: dict[int, int] = {}
        for machine in self.machines.values():
            for vm in machine.running:
                if vm in seen:
                    raise Violation(f"VM {vm} runs on hosts {seen[vm]} and {machine.id}\n" + self.timeline())
                seen[vm] = machine.id

    def timeline(self) -> str:
        """Return the history as text."""
        return "\n".join(self.history)

    def advance(self, seconds: float) -> None:
        """Let time pass: machines power off, leases end, oned monitors, VMs boot."""
        self.clock += seconds
        for machine in self.machines.values():
            if machine.off_at is not None and self.clock >= machine.off_at:
                machine.power_off()
                self.log(f"host {machine.id} is off")
            self._lease(machine)
        if self.oned_up:
            self._monitor()
            self._boot()
            self._plan_by_oned()
        self.check()

    def _lease(self, machine: Machine) -> None:
        if not machine.armed or not machine.on:
            return
        if machine.serves and machine.network and self.oned_up:  # also while the part is stopped
            machine.lease_until = self.clock + 60.0
        elif self.clock >= machine.lease_until - 15.0 and machine.running:
            machine.power_off()  # the watchdog resets it before the lease ends
            self.log(f"host {machine.id} reset itself: its lease ended")

    def _monitor(self) -> None:
        for host in self.hosts.values():
            machine = self.machines[host.id]
            if host.state is HostState.OFFLINE:
                continue
            if machine.serves and machine.network and not machine.mute:
                self._heard(host, machine)
            elif self.clock - host.heard > MONITOR_TIMEOUT and host.state is not HostState.DISABLED:
                self._lost(host)
            elif self.clock - host.heard > MONITOR_TIMEOUT:
                self._unknown(host.id)

    def _heard(self, host: Hosted, machine: Machine) -> None:
        host.heard = self.clock
        if host.state is HostState.ERROR:
            host.state = HostState.MONITORED
        for vm in self._on(host.id):
            if vm.state != ACTIVE or vm.lcm not in (RUNNING, UNKNOWN):
                continue
            if vm.id in machine.running:
                self.vms[vm.id] = replace(vm, lcm=RUNNING)
            else:
                self.vms[vm.id] = replace(vm, state=POWEROFF, lcm=0, parked_by="monitoring")

    def _lost(self, host: Hosted) -> None:
        if host.state is not HostState.ERROR:
            self.log(f"oned: host {host.id} is in ERROR")
        host.state = HostState.ERROR
        self._unknown(host.id)

    def _unknown(self, host: int) -> None:
        for vm in self._on(host):
            if vm.state == ACTIVE and vm.lcm == RUNNING:
                self.vms[vm.id] = replace(vm, lcm=UNKNOWN)
                self.unknown_since[vm.id] = self.clock

    def _on(self, host: int) -> list[Vm]:
        return [vm for vm in self.vms.values() if vm.host == host]

    def _boot(self) -> None:
        for vm, when in list(self.booting.items()):
            if self.clock < when:
                continue
            del self.booting[vm]
            found, machine = self.vms[vm], self.machines[self.vms[vm].host]
            if not machine.serves or machine.fails_starts:
                self.vms[vm] = replace(found, lcm=PROLOG_UNKNOWN_FAILURE)
            else:
                self.vms[vm] = replace(found, lcm=RUNNING)
                machine.running.add(vm)
                self.log(f"VM {vm} runs on host {found.host}")

    def _plan_by_oned(self) -> None:
        """Do what oned's plan manager and rank scheduler do: restart UNKNOWN VMs without any proof.

        Not while a person stopped this part, or its only process is frozen for long: OpenNebula then acts as it
        does without it, which no rule prevents.
        """
        if self.halted or self.unattended:
            self.unknown_since = dict.fromkeys(self.unknown_since, self.clock)
            return
        for vm in list(self.vms.values()):
            since = self.unknown_since.get(vm.id, self.clock)
            if not self.planner or vm.lcm != UNKNOWN or vm.state != ACTIVE or vm.lock:
                continue
            others = [h for h in self.hosts.values() if h.id != vm.host and h.state is HostState.MONITORED]
            if others and self.clock - since > PLANNER_DELAY:
                self.log(f"oned's planner moves VM {vm.id}")
                self.move(vm.id, others[0].id)

    def move(self, vm: int, target: int) -> None:
        """Accept one.vm.migrate from UNKNOWN or POWEROFF, or one that a planner ordered."""
        found = self.vms[vm]
        moved = replace(found, host=target, seq=found.seq + 1, resched=False, parked_by="")
        if found.state == POWEROFF:  # PROLOG_MIGRATE_POWEROFF ends in POWEROFF: it has to be resumed
            self.vms[vm] = moved
            return
        self.vms[vm] = replace(moved, state=ACTIVE, lcm=BOOT)
        self.booting[vm] = self.clock + 20.0
        self.unknown_since.pop(vm, None)

    def view(self) -> Cluster:
        """Return the cluster as the part sees it."""
        hosts = tuple(self._host(host) for host in self.hosts.values())
        answering = frozenset(h.id for h in self.hosts.values() if self._answers(self.machines[h.id]))
        vms = tuple(self._vm(vm) for vm in self.vms.values())
        quiet = self.clock - self.fenced_at
        return Cluster(100, "edge", hosts, vms, answering, quiet, self.paused, self.plan, dict(self.records))

    def _answers(self, machine: Machine) -> bool:
        return machine.serves and (machine.network or machine.peers)

    def _vm(self, vm: Vm) -> Vm:
        if not vm.ready:
            return vm
        return replace(vm, answers=self.clock >= self.ready_after.get(vm.id, 0.0))

    def _host(self, host: Hosted) -> Host:
        machine = self.machines[host.id]
        return Host(
            host.id,
            f"host{host.id}",
            host.state,
            0.0 if machine.serves and machine.network else self.clock - host.heard,
            machine.error if host.state is HostState.ERROR else "",
            str(machine.boot),
            machine.serves and machine.boot != host.boot,
            machine.has_bmc,
            machine.armed,
            host.claimed,
            host.maintenance,
            host.bmc,
            host.held,
        )

    def evidence(self, number: int) -> list[Evidence]:
        """Return what each source reports about a host now."""
        machine, host = self.machines[number], self.hosts[number]
        heard = host.state in (HostState.MONITORED, HostState.DISABLED) and self.clock - host.heard < 20
        found = [
            Evidence(Source.MONITORING, Finding.ALIVE if heard else Finding.SILENT),
            Evidence(Source.SSH, _alive(machine.serves and machine.network)),
            Evidence(Source.PEER, _alive(machine.serves and machine.peers)),
            Evidence(Source.STORAGE, _alive(machine.serves and machine.storage)),
        ]
        if machine.has_bmc:
            found.append(_bmc(machine))
        if machine.armed:
            found.append(Evidence(Source.LEASE, self._lease_shows(machine)))
        if number in self.confirmed:
            found.append(Evidence(Source.PERSON, Finding.DEAD))
        return found

    def _lease_shows(self, machine: Machine) -> Finding:
        if machine.serves and machine.network and self.oned_up:
            return Finding.ALIVE
        return Finding.DEAD if self.clock > machine.lease_until + 15.0 else Finding.UNKNOWN


def _alive(answers: bool) -> Finding:
    return Finding.ALIVE if answers else Finding.SILENT


def _bmc(machine: Machine) -> Evidence:
    if machine.bmc == "silent":
        return Evidence(Source.BMC, Finding.SILENT)
    if machine.bmc == "other":
        return Evidence(Source.BMC, Finding.DEAD, readings=2, verified=False)
    finding = Finding.POWERED if machine.on else Finding.DEAD
    return Evidence(Source.BMC, finding, detail="on" if machine.on else "off", readings=2)


@dataclass
class SimulatedWorld:
    """The effects of one server, on the model. `disturb` is called before each effect."""

    cloud: Cloud
    server: int = 0
    term: int = 1
    disturb: Callable[[], None] = lambda: None
    skew: float = 0.0

    def now(self) -> float:
        """Return the wall time."""
        return self.cloud.clock + self.cloud.offset + self.skew

    def monotonic(self) -> float:
        """Return the clock."""
        return self.cloud.clock

    def stopped(self) -> bool:
        """Return whether the part is stopped."""
        return self.cloud.halted

    def _effect(self) -> None:
        self.disturb()
        if not self.cloud.oned_up or (self.server, self.term) != self.cloud.leader:
            raise Failed("oned refuses: no leader")

    def evidence(self, host: int) -> Sequence[Evidence]:
        """Collect evidence now."""
        self.disturb()
        return self.cloud.evidence(host)

    def incident(self, host: int) -> Incident | None:
        """Read a record."""
        self._effect()
        return self.cloud.records.get(host)

    def write(self, incident: Incident) -> None:
        """Write a record."""
        self._effect()
        old = self.cloud.records.get(incident.host)
        if old is None or old.phase is not incident.phase:
            self.cloud.log(f"incident of host {incident.host}: {incident.phase.value} ({incident.reason})")
        self.cloud.records[incident.host] = incident

    def forget(self, host: int) -> None:
        """Remove a record."""
        self._effect()
        self.cloud.records.pop(host, None)
        self.cloud.confirmed.discard(host)
        self.cloud.hosts[host].boot = self.cloud.machines[host].boot
        self.cloud.log(f"incident of host {host} is closed")

    def forbidden(self, incident: Incident) -> str:
        """Return a person's word against it."""
        self._effect()
        host = self.cloud.hosts[incident.host]
        if self.cloud.paused or host.maintenance:
            return "a person forbids it"
        return "OFFLINE" if host.state is HostState.OFFLINE else ""

    def withdraw(self, host: int) -> None:
        """Delete a confirmation."""
        self._effect()
        self.cloud.confirmed.discard(host)

    def vm(self, vm: int) -> Vm | None:
        """Read a VM."""
        self._effect()
        return self.cloud.vms.get(vm)

    def disable(self, host: int) -> None:
        """Disable a host."""
        self._effect()
        if self.cloud.hosts[host].state is not HostState.OFFLINE:
            self.cloud.hosts[host].state = HostState.DISABLED

    def enable(self, host: int) -> None:
        """Enable a host."""
        self._effect()
        self.cloud.hosts[host].state = HostState.MONITORED
        self.cloud.log(f"host {host} is enabled")

    def protect(self, vm: int) -> None:
        """Lock a VM."""
        self._effect()
        if vm in self.cloud.vms:
            self.cloud.vms[vm] = replace(self.cloud.vms[vm], lock=3, resched=False)

    def lock(self, vm: int, level: int) -> None:
        """Lock a VM for its owner."""
        self._effect()
        if vm in self.cloud.vms:
            self.cloud.vms[vm] = replace(self.cloud.vms[vm], lock=level)

    def unlock(self, vm: int) -> None:
        """Unlock a VM."""
        self._effect()
        if vm in self.cloud.vms:
            self.cloud.vms[vm] = replace(self.cloud.vms[vm], lock=0)

    def drop_plan(self, cluster: int) -> None:  # noqa: ARG002
        """Delete OneDRS's plan."""
        self._effect()
        self.cloud.plan = False

    def fence(self, host: int, deadline: float) -> None:
        """Order a host off."""
        self.disturb()
        machine = self.cloud.machines[host]
        if self.cloud.clock > deadline:
            raise Failed("the order came too late")
        if machine.serves and (machine.network or machine.peers):
            self.cloud.violated = f"host {host} was fenced while it answered"
            self.cloud.check()
        self.cloud.log(f"host {host} is ordered off")
        self.cloud.fenced_at = self.cloud.clock
        if machine.has_bmc and machine.bmc == "ok" and machine.on:
            machine.off_at = self.cloud.clock + machine.slow_off
            if not machine.slow_off:
                machine.power_off()

    def claim(self, host: int, held: str) -> None:
        """Claim or release a host."""
        self._effect()
        self.cloud.hosts[host].held = bool(held)

    def wake(self, host: int) -> None:
        """Wake a sleeping host."""
        self._effect()
        machine = self.cloud.machines[host]
        if machine.asleep:
            self.cloud.log(f"host {host} is woken as a spare")
            machine.asleep, machine.on = False, True
            self.cloud.hosts[host].state, self.cloud.hosts[host].claimed = HostState.MONITORED, False
            self.cloud.hosts[host].heard = self.cloud.clock

    def start(self, vm: int, target: int, course: Course, deadline: float) -> None:
        """Start a VM elsewhere, as oned would: a locked one is refused."""
        self._effect()
        if self.cloud.clock > deadline:
            raise Failed("the proof is too old")
        found = self.cloud.vms[vm]
        if found.lock:
            raise Failed(f"VM {vm} is locked")
        self.cloud.log(f"VM {vm} starts on host {target} ({course.value})")
        self.cloud.move(vm, target)

    def recover(self, vm: int) -> None:
        """Return a VM whose start failed to UNKNOWN on the host before."""
        self._effect()
        found = self.cloud.vms[vm]
        if found.lcm == PROLOG_UNKNOWN_FAILURE:
            dead = next((r.host for r in self.cloud.records.values() if r.entry(vm)), found.host)
            self.cloud.vms[vm] = replace(found, host=dead, seq=found.seq - 1, lcm=UNKNOWN, lock=0)

    def resume(self, vm: int) -> None:
        """Resume a VM on its host."""
        self._effect()
        found = self.cloud.vms[vm]
        if found.state == POWEROFF:
            self.cloud.vms[vm] = replace(found, state=ACTIVE, lcm=BOOT, parked_by="")
            self.cloud.booting[vm] = self.cloud.clock + 20

    def move_back(self, vm: int, host: int) -> None:
        """Migrate live: the instance runs on one of both hosts at any time."""
        self._effect()
        found = self.cloud.vms[vm]
        target = self.cloud.machines[host]
        if found.lock or not target.serves or vm not in self.cloud.machines[found.host].running:
            raise Failed(f"VM {vm} cannot move")
        self.cloud.machines[found.host].running.discard(vm)
        target.running.add(vm)
        self.cloud.vms[vm] = replace(found, host=host, seq=found.seq + 1)
        self.cloud.log(f"VM {vm} moves back to host {host}")

    def clean(self, host: int) -> bool:
        """Destroy what oned has elsewhere."""
        self._effect()
        machine = self.cloud.machines[host]
        if machine.unsure or not machine.serves:
            return False
        machine.running = {vm for vm in machine.running if self.cloud.vms[vm].host == host}
        return True

    def alarm(self, host: int, text: str) -> None:
        """Report to people."""
        self.cloud.alarms.append(text)
        self.cloud.log(f"alarm: host {host}: {text}")


@dataclass
class Server:
    """What one worker remembers between its rounds."""

    cloud: Cloud
    number: int = 0
    term: int = 1
    seen: dict[int, tuple[tuple[Phase, float], float]] = field(default_factory=dict)
    first: dict[int, tuple[float, float]] = field(default_factory=dict)
    cleaned: set[int] = field(default_factory=set)

    def round(self, disturb: Callable[[], None] = lambda: None) -> dict[int, str]:
        """Look, decide and act once."""
        cloud = self.cloud
        if cloud.halted or not cloud.oned_up or (self.number, self.term) != cloud.leader:
            return {}
        cluster = cloud.view()
        needed = brakes.proofs_needed(cluster)
        judgements = {h.id: evidence.judge(cloud.evidence(h.id), needed) for h in cluster.hosts}
        around = Round(
            cluster, cloud.policy, judgements, cloud.clock + cloud.offset,
            self._waited(), self._suspected(), frozenset(self.cleaned), self._spares(),
        )  # fmt: skip
        world = SimulatedWorld(cloud, self.number, self.term, disturb)
        executor = Executor(world, cloud.policy, needed, self.cleaned)
        outcome = executor.run(decide(around, self._place))
        cloud.check()
        return outcome

    def _waited(self) -> Mapping[int, float]:
        clock = self.cloud.clock
        records = self.cloud.records
        self.seen = {
            h: self.seen[h]
            if h in self.seen and self.seen[h][0] == (r.phase, r.since)
            else ((r.phase, r.since), clock)
            for h, r in records.items()
        }
        return {host: clock - when for host, (_, when) in self.seen.items()}

    def _suspected(self) -> Mapping[int, float]:
        clock = self.cloud.clock
        self.first = {
            h: self.first[h] if h in self.first and self.first[h][0] == r.first else (r.first, clock)
            for h, r in self.cloud.records.items()
        }
        return {host: clock - when for host, (_, when) in self.first.items()}

    def _spares(self) -> tuple[int, ...]:
        return tuple(m.id for m in self.cloud.machines.values() if m.asleep)

    def _place(self, vms: Sequence[int], tried: Mapping[int, frozenset[int]]) -> Mapping[int, int]:
        cloud = self.cloud
        room = {
            h.id: cloud.machines[h.id].capacity - sum(vm.host == h.id for vm in cloud.vms.values())
            for h in cloud.hosts.values()
            if h.state is HostState.MONITORED and not h.claimed and h.id not in cloud.records
        }
        found = {}
        for vm in vms:
            fit = [h for h, free in room.items() if free > 0 and h not in tried[vm]]
            if fit:
                found[vm] = max(fit, key=lambda host: (room[host], -host))
                room[found[vm]] -= 1
        return found


def build(hosts: int, vms: Mapping[int, int], policy: Policy | None = None, **machines: object) -> Cloud:
    """Return a quiet cloud: `vms` are host ids by VM id; `machines` are attributes of every machine."""
    cloud = Cloud({}, {}, {}, policy or POLICY)
    for number in range(hosts):
        cloud.machines[number] = Machine(number, **machines)  # type: ignore[arg-type]
        cloud.hosts[number] = Hosted(number, heard=cloud.clock)
    for vm, host in vms.items():
        cloud.vms[vm] = Vm(vm, f"vm{vm}", host, 0, ACTIVE, RUNNING)
        cloud.machines[host].running.add(vm)
    return cloud


def policy_auto() -> Policy:
    """Return the policy of most tests."""
    from hooks.availability.policy import Mode

    return Policy(mode=Mode.AUTO, confirm=60.0, max_down=1, quiet=60.0)


POLICY = policy_auto()
