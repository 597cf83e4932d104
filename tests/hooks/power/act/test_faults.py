"""Decide and act on a model of a cloud with faults: whatever happens between two steps, nothing is harmed."""

import copy
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from hooks.power.act.hand import Hand, Leases, Limits
from hooks.power.act.round import act
from hooks.power.act.world import Answer, Failed, Sight
from hooks.power.decide import Memory, decide
from hooks.power.model import Bmc, Claim, Cluster, Guest, Host, Kind, Phase, Record
from hooks.power.planner.problem import Size
from hooks.power.policy import Mode, Parked, Policy
from onext.oned.objects import HostState

SIZE, FLAVOUR = Size(800, 32_768), Size(200, 8192)
HOSTS, START = 5, 1_800_000_000.0
MIN_HOSTS = 2
POLICY = Policy(
    mode=Mode.AUTO, pack=True, min_hosts=MIN_HOSTS, spare_host=False, buffer_vms=1, idle_seconds=0.0,
    min_on_seconds=0.0, cycles_per_day=48, max_parallel_off=2, target_utilisation=1.0, max_migrations=50,
)  # fmt: skip
BOOT, SHUTDOWN = 120.0, 40.0
TRANSIENT = (Phase.CLOSING, Phase.STOPPING, Phase.WAKING, Phase.RETURNING)


class Killed(BaseException):
    """The worker died by -9: nothing after this runs."""


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
            up = machine.on and machine.boots_until <= self.monotonic
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
        return Answer(Bmc.ON if machine.on else Bmc.OFF)

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


DISTURBANCES = (
    "arrive", "force", "leave", "park", "resume", "disable", "enable", "delete", "error", "recover", "kill",
    "takeover", "oned down", "oned up", "jump", "dead", "lying", "other", "password", "stuck", "healthy", "slow",
    "operator off", "wild", "stop",
)  # fmt: skip


class PowerMachine(RuleBasedStateMachine):
    """Rounds of two servers, time, and everything that may happen between any two steps of a round."""

    def __init__(self) -> None:
        super().__init__()
        self.cloud = Cloud()
        self.servers: dict[int, dict[str, Any]] = {}
        self.next_vm = 0

    @initialize(
        guests=st.lists(st.integers(0, HOSTS - 1), max_size=8), asleep=st.sets(st.integers(0, HOSTS - 1))
    )
    def begin(self, guests: list[int], asleep: set[int]) -> None:
        for number in range(HOSTS):
            machine = Machine(number)
            if number in asleep and number not in guests:
                machine.state, machine.known, machine.on = HostState.OFFLINE, False, False
                machine.claim = Claim(Phase.OFF, START - 3600, 0, 1, 120.0)
            self.cloud.machines[number] = machine
        for host in guests:
            if len(self.cloud.on(host)) < 4:
                self._new_vm(host, Kind.RUNNING)
        self._elect(0)

    def _elect(self, server: int) -> None:
        old = self.servers.get(self.cloud.leader)
        if old is not None:
            old["stale"] = copy.deepcopy(self.cloud)
        if self.servers:
            self.cloud.term += 1
        self.cloud.leader = server
        self.servers[server] = {
            "term": self.cloud.term,
            "memory": Memory(),
            "leases": Leases(),
            "stale": None,
        }

    def _new_vm(self, host: int = -1, kind: Kind = Kind.PENDING) -> None:
        self.cloud.vms[self.next_vm] = Vm(self.next_vm, host, kind)
        self.next_vm += 1

    @rule(
        server=st.integers(0, 1),
        planned=st.lists(
            st.tuples(st.integers(0, 16), st.sampled_from(DISTURBANCES), st.integers(0, HOSTS - 1)),
            max_size=4,
        ),
    )
    def round(self, server: int, planned: list[tuple[int, str, int]]) -> None:
        """Run one reconcile of a server that believes to lead."""
        mine = self.servers.get(server)
        if mine is None:
            return
        left = sorted(planned)
        calls = 0

        def disturb() -> None:
            nonlocal calls
            if left and left[0][0] <= calls:
                _, what, host = left.pop(0)
                if what == "stop":
                    world.halted = True
                self.happen(what, host)
            calls += 1

        world = FakeWorld(self.cloud, server, mine["term"], mine["stale"], disturb)
        seen = mine["stale"] if world.cut_off and mine["stale"] else self.cloud
        if self.cloud.down:
            return
        cluster = observe(seen)
        decision = decide(cluster, POLICY, seen.now, mine["memory"])
        mine["memory"] = decision.memory
        hand = Hand(world, Limits(failures=3), mine["leases"])
        self._judge_decision(cluster, decision.actions)
        try:
            act(hand, cluster, decision.actions)
        except Killed:
            mine["memory"], mine["leases"] = Memory(), Leases()

    def _judge_decision(self, cluster: Cluster, actions: Any) -> None:
        """Look whether minimum and buffer hold after the decision."""
        leaving = {a.host for a in actions if type(a).__name__ == "PowerOff"}
        if any(h.id in leaving and h.takes_guests for h in cluster.hosts):
            left = [h for h in cluster.hosts if h.takes_guests and h.id not in leaving]
            assert len(left) >= MIN_HOSTS
            moved = sum(len(m.guests) for a in actions if a.host in leaving for m in getattr(a, "moves", ()))
            stand = sum(len(cluster.on(h.id)) for h in left)
            assert 4 * len(left) - stand - moved >= 1, "no room for one flavour is left"

    @rule(what=st.sampled_from([d for d in DISTURBANCES if d != "kill"]), host=st.integers(0, HOSTS - 1))
    def happen_between_rounds(self, what: str, host: int) -> None:
        self.happen(what, host)

    @rule(pause=st.sampled_from([20.0, 60.0]))
    def minutes_of_work(self, pause: float) -> None:
        """Let the worker have its rounds, as it does most of the time."""
        for _ in range(4):
            self.round(self.cloud.leader, [])
            self.time_passes(pause)

    @rule(count=st.integers(1, 10))
    def load_comes(self, count: int) -> None:
        for _ in range(count):
            self._new_vm()

    @rule()
    def load_goes(self) -> None:
        self.cloud.vms = {number: vm for number, vm in self.cloud.vms.items() if number % 3 == 0}

    @rule(seconds=st.sampled_from([5.0, 30.0, 70.0, 200.0, 900.0]))
    def time_passes(self, seconds: float) -> None:
        for _ in range(int(seconds // 10) + 1):
            self.cloud.pass_time(seconds / (int(seconds // 10) + 1))
        self.cloud.schedule()

    def happen(self, what: str, host: int) -> None:
        """Let something happen that is nobody's plan."""
        cloud = self.cloud
        machine = cloud.machines.get(host)
        if what == "kill":
            raise Killed
        if what == "arrive":
            self._new_vm()
            cloud.schedule()
        elif what == "takeover":
            self._elect(1 - cloud.leader)
        elif what in ("oned down", "oned up"):
            cloud.down = what == "oned down"
        elif what == "jump":
            cloud.now += 3600.0 if host % 2 else -3600.0
        elif what == "slow":
            cloud.pass_time(45.0)
        elif what == "leave":
            for vm in cloud.on(host)[:2]:
                del cloud.vms[vm.number]
        elif machine is not None:
            self._to_machine(what, machine)

    def _to_machine(self, what: str, machine: Machine) -> None:  # noqa: C901, PLR0912 (a list of what may happen)
        cloud, host = self.cloud, machine.number
        up = machine.on and machine.boots_until <= cloud.monotonic
        if what == "force" and machine.state is not HostState.OFFLINE and machine.known:
            self._new_vm(host, Kind.RUNNING)
        elif what == "park":
            for vm in cloud.on(host)[:1]:
                vm.kind = Kind.PARKED
        elif what == "resume":
            for vm in cloud.on(host):
                vm.kind = Kind.RUNNING
        elif what == "disable":
            machine.state = HostState.DISABLED
        elif what == "enable":
            machine.state = HostState.MONITORED if machine.known and up else HostState.INIT
        elif what == "delete" and not cloud.on(host) and len(cloud.machines) > 4:
            del cloud.machines[host]
        elif what == "error" and machine.state is HostState.MONITORED:
            machine.state = HostState.ERROR
        elif what == "recover" and machine.state is HostState.ERROR:
            machine.state = HostState.MONITORED
        elif what == "operator off" and machine.claim is None and not cloud.on(host):
            machine.state, machine.known, machine.on, machine.operators = (
                HostState.OFFLINE,
                False,
                False,
                True,
            )
        elif what == "wild":
            machine.wild = 1 - machine.wild
        elif what in ("dead", "lying", "other", "password", "stuck"):
            machine.fault = what
        elif what == "healthy":
            machine.fault = ""

    @invariant()
    def nothing_was_harmed(self) -> None:
        assert not self.cloud.violations, self.cloud.violations

    def teardown(self) -> None:
        """Heal everything: no host may stay half-way for ever, and none of ours may be lost."""
        cloud = self.cloud
        cloud.down = False
        for machine in cloud.machines.values():
            machine.fault, machine.wild = "", 0
            if machine.state is HostState.ERROR:
                machine.state = HostState.MONITORED
        for _ in range(60):
            self.round(cloud.leader, [])
            self.time_passes(70.0)
            cloud.vms = {number: vm for number, vm in cloud.vms.items() if vm.kind is not Kind.PARKED}
        self.nothing_was_harmed()
        stuck = {m.number: m.claim for m in cloud.machines.values() if m.claim and m.claim.phase in TRANSIENT}
        assert not stuck, stuck
        for machine in cloud.machines.values():
            asleep = machine.claim is not None and machine.claim.phase is Phase.OFF
            assert not asleep or not machine.on, f"host {machine.number} is said to sleep and burns"


TestPower = PowerMachine.TestCase
TestPower.settings = settings(
    max_examples=150,
    stateful_step_count=40,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large],
)
__all__ = ["Parked", "TestPower"]
