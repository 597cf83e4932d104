"""Decide and act on a model of a cloud with faults: whatever happens between two steps, nothing is harmed."""

import copy
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from hooks.power.act.hand import Hand, Leases, Limits
from hooks.power.act.round import act
from hooks.power.decide import Memory, decide
from hooks.power.model import Claim, Cluster, Kind, Phase
from hooks.power.policy import Mode, Policy
from onext.oned.objects import HostState
from tests.hooks.power.act.cloud_model import START, Cloud, FakeWorld, Machine, Vm, observe

HOSTS = 5
MIN_HOSTS = 2
POLICY = Policy(
    mode=Mode.AUTO, pack=True, min_hosts=MIN_HOSTS, spare_host=False, buffer_vms=1, idle_seconds=0.0,
    min_on_seconds=0.0, cycles_per_day=48, max_parallel_off=2, target_utilisation=1.0, max_migrations=50,
)  # fmt: skip
TRANSIENT = (Phase.CLOSING, Phase.STOPPING, Phase.WAKING, Phase.RETURNING)


class Killed(BaseException):
    """The worker died by -9: nothing after this runs."""


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
