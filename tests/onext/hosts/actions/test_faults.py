"""Decide and act on a model of a cloud with faults: whatever happens between two steps, nothing is harmed.

`ONEXT_EXAMPLES=5000 pytest tests/onext/hosts/actions/test_faults.py` searches; without it a few are repeated.
"""

import copy
import os
from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from hooks.power.decide import Decision, Memory, PowerOff, decide
from hooks.power.guard import refusal
from hooks.power.manual_orders import Refused, evacuation
from hooks.power.policy import Mode, Policy, read
from hooks.power.reasons_to_stay import Case, why_not
from hooks.power.round import act
from onext.hosts.actions import power_off, wake
from onext.hosts.actions.actuator import Actuator, Leases, Limits
from onext.hosts.actions.fence import NotFenced, fence
from onext.hosts.actions.world import Failed, Stopped
from onext.hosts.model import Claim, Cluster, Kind, Phase
from onext.oned.objects import HostState
from onext.settings.power import Power
from tests.hooks.power.test_decide import check_what_is_left
from tests.onext.hosts.actions.cloud_model import START, Cloud, FakeWorld, Machine, observe
from tests.onext.hosts.actions.happenings import DISTURBANCES, FAULTS, OFTEN, SETTLED, TEMPLATES, to_machine

EXAMPLES = int(os.environ.get("ONEXT_EXAMPLES", "0"))
HOSTS = 5
AT_HAND = HOSTS  # the host with which something is being done
MIN_HOSTS = 2
ENVELOPE = Power(
    clusters=(100,), highest_mode="auto", lowest_min_hosts=MIN_HOSTS, highest_parallel_off=2, spare_host=False,
    highest_cycles_per_day=48, highest_down_hosts=1, wake_failures=3,
)  # fmt: skip
POLICIES = [replace(read(template, ENVELOPE), idle_seconds=0.0) for template in TEMPLATES]
BENIGN = [what for what in DISTURBANCES if what not in ("kill", "stop")]
DID: Counter[str] = Counter()


class Killed(BaseException):
    """The worker died by -9: nothing after this runs."""


class Server:
    """What a front-end's worker remembers, and the term in which it believes to lead."""

    def __init__(self, term: int) -> None:
        self.term = term
        self.stale: Cloud | None = None
        self.restart()

    def restart(self) -> None:
        self.memory, self.leases = Memory(), Leases()


class PowerMachine(RuleBasedStateMachine):
    """Rounds of two servers, time, and everything that may happen between any two steps of a round."""

    def __init__(self) -> None:
        super().__init__()
        self.cloud = Cloud()
        self.servers: dict[int, Server] = {}
        self.template = 0

    @initialize(
        vms=st.lists(st.integers(0, HOSTS - 1), max_size=8), asleep=st.sets(st.integers(0, HOSTS - 1))
    )
    def begin(self, vms: list[int], asleep: set[int]) -> None:
        for number in range(HOSTS):
            machine = Machine(number)
            if number in asleep and number not in vms:
                machine.state, machine.known, machine.on = HostState.OFFLINE, False, False
                machine.claim = Claim(Phase.OFF, START - 3600, 0, 1, 120.0, capacity={"TOTAL_CPU": "800"})
            self.cloud.machines[number] = machine
        for host in vms:
            if len(self.cloud.on(host)) < 4:
                self.cloud.new_vm(host, Kind.RUNNING)
        self._elect(0)

    def _elect(self, server: int) -> None:
        old = self.servers.get(self.cloud.leader)
        if old is not None:
            old.stale = copy.deepcopy(self.cloud)
        if self.servers:
            self.cloud.term += 1
        self.cloud.leader = server
        self.servers[server] = Server(self.cloud.term)

    @property
    def policy(self) -> Policy:
        return POLICIES[self.template]

    def _world(self, server: int, planned: list[tuple[int, str, int]]) -> FakeWorld:
        """Return the hands of a server, in whose way these disturbances come, each after so many steps."""
        left = sorted(planned)
        calls = 0

        def disturb(at_hand: int) -> None:
            nonlocal calls
            calls += 1
            if left and left[0][0] < calls:
                _, what, host = left.pop(0)
                world.halted = world.halted or what == "stop"
                self.happen(what, at_hand if host == AT_HAND else host)

        mine = self.servers[server]
        world = FakeWorld(self.cloud, server, mine.term, mine.stale, disturb)
        world.min_hosts = self.policy.min_hosts
        return world

    def _hand(self, world: FakeWorld) -> Actuator:
        policy = self.policy
        limits = Limits(
            failures=policy.wake_failures, wake=policy.wake_timeout, min_hosts=policy.min_hosts, drain=1200.0
        )
        return Actuator(
            world,
            limits,
            self.servers[world.server].leases,
            decided=world.monotonic(),
            forbids=lambda sight, enrolling: refusal(sight, self.policy, self.cloud.now, enrolling=enrolling),
        )

    @rule(
        server=st.integers(0, 1),
        planned=st.lists(
            st.tuples(
                st.integers(0, 20),
                st.sampled_from([*DISTURBANCES, *OFTEN * 4]),
                st.sampled_from([*range(HOSTS), *[AT_HAND] * HOSTS]),
            ),
            max_size=4,
        ),
    )
    def round(self, server: int, planned: list[tuple[int, str, int]]) -> None:
        """Run one reconcile of a server that believes to lead."""
        if server not in self.servers or self.cloud.down:
            return
        mine, world, policy = self.servers[server], self._world(server, planned), self.policy
        seen = mine.stale if world.cut_off and mine.stale else self.cloud
        cluster = observe(seen, world)
        decision = decide(cluster, policy, seen.now, mine.memory)
        mine.memory = decision.memory
        self._judge_decision(cluster, policy, decision)
        try:
            act(self._hand(world), cluster, decision.actions)
        except Killed:
            mine.restart()

    def _judge_decision(self, cluster: Cluster, policy: Policy, decision: Decision) -> None:
        """Look whether minimum and buffer hold after the decision."""
        leaving = {action.host for action in decision.actions if isinstance(action, PowerOff)}
        fresh = [host for host in cluster.hosts if host.id in leaving and host.takes_vms]
        if fresh:
            assert policy.mode is Mode.AUTO
            assert policy.min_hosts >= MIN_HOSTS
            assert len(fresh) <= ENVELOPE.highest_parallel_off
            check_what_is_left(cluster, policy, leaving, decision)

    @rule(
        host=st.integers(0, HOSTS - 1),
        steps=st.integers(1, 4),
        what=st.sampled_from([*DISTURBANCES, *OFTEN * 8]),
        after=st.integers(0, 12),
    )
    def somebody_orders_it_off_and_goes(self, host: int, steps: int, what: str, after: int) -> None:
        """Let a person begin with `onext power off`, who is cut off some steps later."""
        self._by_hand(host, steps, [(after, what, AT_HAND)])

    @rule(
        host=st.integers(0, HOSTS - 1),
        vm=st.sampled_from(["force", "force", "wild"]),
        after=st.integers(0, 13),
    )
    def a_vm_comes_while_it_goes_off(self, host: int, vm: str, after: int) -> None:
        """Let a VM be put on a host between any two steps of its power-off."""
        self._by_hand(host, 2, [(after, vm, AT_HAND)])

    @rule(host=st.integers(0, HOSTS - 1), after=st.integers(4, 13))
    def its_bmc_takes_the_order_and_answers_too_late(self, host: int, after: int) -> None:
        """Let VMs come as soon as they can to a host that may still shut down."""
        self._by_hand(host, 2, [(after, "slow", AT_HAND)])
        for machine in self.cloud.machines.values():
            machine.fault = "" if machine.fault == "slow" else machine.fault
        for _ in range(4):
            self.round(self.cloud.leader, [])
            self.cloud.pass_time(8.0)
            for number, machine in self.cloud.machines.items():
                if machine.takes_vms and not self.cloud.on(number):
                    self.happen("force", number)

    @rule(after=st.integers(0, 13), pause=st.sampled_from([1.0, 20.0, 50.0]))
    def another_one_leads_from_the_middle_of_a_round(self, after: int, pause: float) -> None:
        """Let the lead change between any two steps; both go on, the old one without knowing."""
        old = self.cloud.leader
        for server in (old, old, 1 - old, old, 1 - old):
            first = server == old and self.cloud.leader == old
            self.round(server, [(after, "takeover", 0)] if first else [])
            self.cloud.pass_time(pause)

    @rule(host=st.integers(0, HOSTS - 1))
    def somebody_orders_it_on(self, host: int) -> None:
        """Let a person begin with `onext power on`."""
        world = self._world(self.cloud.leader, [])
        if host in self.cloud.machines:
            self.cloud.machines[host].operators = ""
        try:
            wake.wake(self._hand(world), host, "by hand", by_hand=True)
        except Failed:
            return

    def _by_hand(self, host: int, steps: int, planned: list[tuple[int, str, int]]) -> None:
        world, policy = self._world(self.cloud.leader, planned), self.policy
        cluster = observe(self.cloud, world)
        order = [*cluster.hosts[host:], *cluster.hosts[:host]]
        may = (one for one in order if not why_not(Case(one, cluster.on(one.id), policy, self.cloud.now)))
        found = next(may, None)
        if found is None:
            return
        actuator = self._hand(world)
        actuator.mark_by_hand = True
        try:
            moves = evacuation(cluster, policy, found)
            for _ in range(steps):
                power_off.power_off(actuator, found.id, moves, "by hand")
                self.cloud.pass_time(3.0)
        except (Refused, Failed, Stopped, Killed):
            return

    @rule(
        host=st.integers(0, HOSTS - 1), what=st.sampled_from([*BENIGN, *FAULTS * 3]), after=st.integers(0, 9)
    )
    def it_fails_and_is_fenced(self, host: int, what: str, after: int) -> None:
        """Let host_error.rb fence a host in ERROR; an answer of success must be true."""
        self.happen("error", host)
        world = self._world(self.cloud.leader, [(after, what, host)])
        world.fencing = True
        try:
            fence(self._hand(world), host, 60.0, self.cloud.pass_time)
        except (NotFenced, Failed, Stopped):
            return
        machine = self.cloud.machines[host]
        boots = machine.on and machine.boots_until > self.cloud.monotonic
        assert not machine.on or machine.fault == "other" or boots, f"host {host} is said to be off and runs"

    @rule(
        what=st.sampled_from([*BENIGN, *(one for one in OFTEN if one != "kill")]),
        host=st.integers(0, HOSTS - 1),
    )
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
            self.cloud.new_vm()

    @rule()
    def load_goes(self) -> None:
        self.cloud.vms = {number: vm for number, vm in self.cloud.vms.items() if number % 3 == 0}

    @rule(seconds=st.sampled_from([5.0, 30.0, 70.0, 200.0, 900.0]))
    def time_passes(self, seconds: float) -> None:
        for _ in range(int(seconds // 10) + 1):
            self.cloud.pass_time(seconds / (int(seconds // 10) + 1))
        self.cloud.schedule()

    def happen(self, what: str, host: int) -> None:  # noqa: C901 (a list of what may happen)
        """Let something happen that is nobody's plan."""
        cloud = self.cloud
        machine = cloud.machines.get(host)
        if what == "kill":
            raise Killed
        if what == "arrive":
            self.cloud.new_vm()
            cloud.schedule()
        elif what == "takeover":
            self._elect(1 - cloud.leader)
        elif what in ("oned down", "oned up"):
            cloud.down = what == "oned down"
        elif what == "oned slow":
            cloud.mute = True
        elif what == "jump":
            cloud.now += 3600.0 if host % 2 else -3600.0
        elif what == "wait":
            cloud.pass_time(45.0)
        elif what == "template":
            self.template = (self.template + host) % len(TEMPLATES)
        elif what == "swapped":
            cloud.swapped = host if host < HOSTS - 1 else -1
        elif what == "leave":
            for vm in cloud.on(host)[:2]:
                del cloud.vms[vm.number]
        elif machine is not None:
            to_machine(cloud, what, machine)

    @invariant()
    def nothing_was_harmed(self) -> None:
        assert not self.cloud.violations, self.cloud.violations

    def teardown(self) -> None:
        """Heal everything: no host may stay half-way for ever, and none of ours may be lost."""
        cloud = self.cloud
        cloud.down, cloud.swapped, self.template = False, -1, 0
        for machine in cloud.machines.values():
            machine.fault, machine.wild, machine.excluded = "", 0, ""
            machine.claim = None if machine.claim and machine.claim.phase is Phase.HELD else machine.claim
            if machine.state is HostState.ERROR:
                machine.state = HostState.MONITORED
        for _ in range(60):
            self.round(cloud.leader, [])
            self.time_passes(70.0)
            cloud.vms = {number: vm for number, vm in cloud.vms.items() if vm.kind is not Kind.PARKED}
        self.nothing_was_harmed()
        DID.update(cloud.did)
        for machine in cloud.machines.values():
            self._judge_end(machine)

    def _judge_end(self, machine: Machine) -> None:
        claim = machine.seen()[0]
        phase = claim.phase if claim else None
        assert phase in (None, *SETTLED), f"host {machine.number} is {machine.claim} for ever"
        asleep = phase is Phase.OFF
        assert not (asleep and machine.on), f"host {machine.number} is said to sleep and burns"
        lost = machine.state is not HostState.MONITORED and phase is not Phase.QUARANTINED and not asleep
        assert not lost or machine.touched or machine.fenced, f"host {machine.number} is lost: {machine}"


TestPower = PowerMachine.TestCase
TestPower.settings = settings(
    max_examples=EXAMPLES or 150,
    derandomize=not EXAMPLES,
    database=None,
    stateful_step_count=40,
    deadline=None,
    print_blob=False,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large],
)


pytestmark = pytest.mark.timeout(0 if EXAMPLES else 900)  # a search takes as long as it is told


def teardown_module() -> None:
    """Say what happened: a search in which nobody switches anything shows nothing."""
    if EXAMPLES:
        print(f"{EXAMPLES} histories: {dict(DID)}")
