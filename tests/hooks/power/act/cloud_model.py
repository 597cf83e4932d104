"""A model of a cloud: what oned believes, what the iron does, and one server's hands in it."""

from collections.abc import Callable
from dataclasses import dataclass, field

from hooks.power.act.world import Answer, Failed, Sight
from hooks.power.model import Bmc, Claim, Cluster, Guest, Host, Kind, Record
from hooks.power.planner.problem import Size
from onext.oned.objects import HostState

SIZE, FLAVOUR = Size(800, 32_768), Size(200, 8192)
START = 1_800_000_000.0
BOOT, SHUTDOWN = 120.0, 40.0


@dataclass
class Machine:
    """A host: what oned believes, and what the iron does."""

    number: int
    state: HostState = HostState.MONITORED
    claim: Claim | None = None
    record: Record = field(default_factory=lambda: Record(proven=START, on_since=0.0))
    on: bool = True
    boots_until: float = 0.0
    stops_at: float = float("inf")
    monitored: float = START
    known: bool = True  # oned has its capacity
    fault: str = ""  # of the BMC: dead, lying, other, password, stuck
    operators: bool = False  # an operator switched it off
    wild: int = 0
    sleeper: bool = False  # has no BMC: silent when it sleeps
    deaf: bool = False  # its monitoring does not arrive


@dataclass
class Vm:
    """A guest."""

    number: int
    host: int = -1
    kind: Kind = Kind.PENDING


@dataclass
class Cloud:
    """The truth."""

    machines: dict[int, Machine] = field(default_factory=dict)
    vms: dict[int, Vm] = field(default_factory=dict)
    now: float = START
    monotonic: float = 0.0
    leader: int = 0
    term: int = 1
    down: bool = False
    violations: list[str] = field(default_factory=list)

    def on(self, host: int) -> list[Vm]:
        return [vm for vm in self.vms.values() if vm.host == host]

    def pass_time(self, seconds: float) -> None:
        self.now += seconds
        self.monotonic += seconds
        for machine in self.machines.values():
            if machine.on and machine.stops_at <= self.monotonic:
                machine.on, machine.stops_at = False, float("inf")
            up = machine.on and machine.boots_until <= self.monotonic and not machine.deaf
            if up and machine.state is not HostState.OFFLINE:
                machine.monitored, machine.known = self.now, True
                if machine.state is HostState.INIT:
                    machine.state = HostState.MONITORED

    def schedule(self) -> None:
        """Place waiting guests as the scheduler does."""
        for vm in self.vms.values():
            for machine in self.machines.values():
                open_ = machine.state is HostState.MONITORED and machine.known and machine.on
                if vm.kind is Kind.PENDING and open_ and len(self.on(machine.number)) < 4:
                    vm.host, vm.kind = machine.number, Kind.RUNNING


class FakeWorld:
    """The effects of one server on the cloud; disturbances come between any two of them."""

    def __init__(
        self, cloud: Cloud, server: int, term: int, stale: Cloud | None, disturb: Callable[[], None]
    ) -> None:
        self.cloud, self.server, self.term = cloud, server, term
        self.stale = stale
        self.disturb = disturb
        self.halted = False

    @property
    def cut_off(self) -> bool:
        return (self.cloud.leader, self.cloud.term) != (self.server, self.term)

    def _step(self, *, writes: bool) -> None:
        self.disturb()
        self.cloud.pass_time(0.1)
        if self.cloud.down or (writes and self.cut_off):
            raise Failed("oned does not answer")

    def now(self) -> float:
        return self.cloud.now

    def monotonic(self) -> float:
        return self.cloud.monotonic

    def stopped(self) -> bool:
        return self.halted

    def _machine(self, host: int) -> Machine:
        if host not in self.cloud.machines:
            raise Failed(f"there is no host {host}")
        return self.cloud.machines[host]

    def see(self, host: int) -> Sight:
        self._step(writes=False)
        cloud = self.stale if self.cut_off and self.stale else self.cloud
        if host not in cloud.machines:
            raise Failed(f"there is no host {host}")
        machine = cloud.machines[host]
        guests = frozenset(vm.number for vm in cloud.on(host))
        capacity = {"TOTAL_CPU": "800"} if machine.known else {}
        return Sight(
            host,
            f"node-{host}",
            machine.state,
            guests,
            machine.wild,
            machine.claim,
            machine.record,
            capacity,
            machine.monitored,
        )

    def write(self, host: int, claim: Claim | None, record: Record | None = None) -> None:
        self._step(writes=True)
        machine = self._machine(host)
        machine.claim = claim
        machine.record = record or machine.record

    def disable(self, host: int) -> None:
        self._step(writes=True)
        self._machine(host).state = HostState.DISABLED

    def offline(self, host: int) -> None:
        self._step(writes=True)
        machine = self._machine(host)
        machine.state, machine.known = HostState.OFFLINE, False

    def enable(self, host: int) -> None:
        self._step(writes=True)
        machine = self._machine(host)
        machine.state = HostState.MONITORED if machine.known else HostState.INIT

    def migrate(self, guest: int, source: int, target: int) -> bool:
        self._step(writes=True)
        vm = self.cloud.vms.get(guest)
        if (
            vm is None
            or vm.host != source
            or vm.kind is not Kind.RUNNING
            or target not in self.cloud.machines
        ):
            return False
        if len(self.cloud.on(target)) >= 4:
            raise Failed("enforced: no room")
        vm.host = target
        return True

    def ask_bmc(self, host: int) -> Answer:
        self.disturb()
        machine = self._machine(host)
        if machine.fault in ("dead", "password", "other"):
            return Answer(Bmc.SILENT, machine.fault)
        if machine.sleeper and not machine.on:
            return Answer(Bmc.SILENT, "no answer")
        return Answer(Bmc.ON if machine.on else Bmc.OFF)

    def proves_off(self, host: int) -> bool:
        return not self._machine(host).sleeper

    def switch_bmc(self, host: int, what: str) -> str:
        self.cloud.pass_time(0.5)  # the last look and the switch are one step: nothing can come between
        machine = self._machine(host)
        if machine.fault in ("dead", "password", "other"):
            return machine.fault
        self._judge(machine, what)
        if machine.fault != "lying" and not (machine.fault == "stuck" and what == "off-soft"):
            self._obey(machine, what)
        return ""

    def _obey(self, machine: Machine, what: str) -> None:
        if what == "on":
            machine.boots_until = self.cloud.monotonic + BOOT
            machine.on, machine.stops_at = True, float("inf")
        else:
            machine.stops_at = self.cloud.monotonic + (SHUTDOWN if what == "off-soft" else 0.0)

    def _judge(self, machine: Machine, what: str) -> None:
        """Look whether what is done now may be done."""
        say = self.cloud.violations.append
        claim = machine.claim
        if claim is None or (claim.server, claim.term) != (self.server, self.term):
            say(f"server {self.server} switches host {machine.number} {what} without the intent: {claim}")
        if what.startswith("off") and self.cloud.on(machine.number):
            say(f"host {machine.number} is switched off with guests")
        if what.startswith("off") and machine.state is not HostState.OFFLINE:
            say(f"host {machine.number} is switched off while {machine.state.name}")
        if what == "on" and machine.operators:
            say(f"an operator's host {machine.number} is woken")

    def reachable(self, host: int) -> bool:
        self.disturb()
        machine = self._machine(host)
        return machine.on and machine.boots_until <= self.cloud.monotonic

    def sync(self, host: int) -> None:
        self._step(writes=False)
        if not self.reachable(host):
            raise Failed("no ssh")


def observe(cloud: Cloud) -> Cluster:
    """Put the cloud as decide() sees it."""
    states = {True: Bmc.ON, False: Bmc.OFF}
    hosts = tuple(
        Host(
            m.number, f"node-{m.number}", m.state, SIZE,
            bmc=Bmc.SILENT if m.fault in ("dead", "password", "other") else states[m.on],
            claim=m.claim, record=m.record, wild=m.wild, monitored=m.monitored,
        )
        for m in cloud.machines.values()
    )  # fmt: skip
    guests = tuple(
        Guest(v.number, f"vm-{v.number}", FLAVOUR, v.kind, v.host, since=cloud.now - 10)
        for v in cloud.vms.values()
    )
    return Cluster(100, "alpha", hosts, guests)
