"""Leases against everything that may happen: real ledgers, granters and daemon; clock, network and watchdog are played.

`ONEXT_EXAMPLES=5000 pytest tests/hooks/availability/lease/test_invariants.py` searches longer.
"""

from __future__ import annotations

import os

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from hooks.availability.lease.grants import ARMED, Armed, Arming
from onext.oned.documents import Documents
from onext.oned.errors import OnedError
from tests.hooks.availability.lease.played_node import HOST, SECRET, WATCHDOG, Played

EXAMPLES = int(os.environ.get("ONEXT_EXAMPLES", "0"))


class Leases(RuleBasedStateMachine):
    """Rounds, and everything that may happen between any two of their steps."""

    @initialize(
        drift=st.sampled_from([-0.001, 0.0, 0.001]),
        returns=st.sampled_from([20.0, 90.0, 1e9]),
        begun=st.booleans(),
    )
    def begin(self, drift: float, returns: float, begun: bool) -> None:
        self.played = Played.begin(drift, returns)
        self.world, self.pool, self.fronts = self.played.world, self.played.pool, self.played.fronts
        if begun:
            self.work(4)

    @rule(times=st.integers(1, 18))
    def work(self, times: int) -> None:
        self.played.work(times)

    @rule(times=st.integers(1, 6))
    def both_believe_that_they_lead(self, times: int) -> None:
        for _ in range(times):
            for front in self.fronts:
                front.round()
            self.work(1)

    @rule(seconds=st.floats(0.5, 60.0))
    def wait(self, seconds: float) -> None:
        self.world.advance(seconds)

    @rule(
        front=st.integers(0, 1),
        delays=st.lists(st.floats(0, 70), min_size=3, max_size=3),
        write=st.floats(0, 20),
    )
    def slow_round(self, front: int, delays: list[float], write: float) -> None:
        self.fronts[front].delays = delays
        self.fronts[front].round(write)
        self.fronts[front].delays = [0.0, 0.0, 0.0]

    @rule(write=st.floats(0, 20))
    def deposed_while_it_writes(self, write: float) -> None:
        before = self.world.leader

        def depose() -> None:
            self.world.leader = 1 - before
            self.fronts[1 - before].round(write)
            self.pool.server = before

        self.pool.server = before
        self.pool.locked.clear()
        self.pool.before_write = depose
        try:
            self.fronts[before].granter.round(self.fronts[before].zone, SECRET)
        except OnedError:
            return

    @rule()
    def new_leader(self) -> None:
        self.world.leader = 1 - self.world.leader

    @rule(front=st.integers(0, 1))
    def worker_restarts(self, front: int) -> None:
        self.fronts[front].restart()

    @rule(front=st.integers(0, 1), seconds=st.floats(1, 100))
    def front_end_is_suspended(self, front: int, seconds: float) -> None:
        self.fronts[front].behind += seconds
        self.world.advance(seconds)

    @rule(connected=st.sets(st.integers(0, 1)))
    def network(self, connected: set[int]) -> None:
        self.world.connected = connected

    @rule(times=st.integers(6, 18))
    def cut_off(self, times: int) -> None:
        self.world.connected = set()
        self.work(times)
        self.world.connected = {0, 1}

    @rule()
    def only_the_old_leader_reaches_it(self) -> None:
        self.world.connected = {self.world.leader}
        self.fronts[self.world.leader].round()
        self.world.leader = 1 - self.world.leader

    @rule(stopped=st.booleans())
    def daemon_stops(self, stopped: bool) -> None:
        self.world.stopped = stopped

    @rule(seconds=st.floats(0.5, WATCHDOG * 2))
    def daemon_pauses_between_check_and_feeding(self, seconds: float) -> None:
        self.world.pause_before_feeding = seconds

    @rule()
    def daemon_is_killed_and_starts_again(self) -> None:
        if self.world.on:
            self.world.start_daemon()

    @rule(granted=st.booleans(), seconds=st.floats(0.5, WATCHDOG * 2))
    def fails_after_its_daemon_started_again(self, granted: bool, seconds: float) -> None:
        if self.world.on:
            self.world.start_daemon()
        self.fronts[self.world.leader].round()
        if granted:
            self.world.advance(0.5)
        self.world.connected = set()
        self.world.pause_before_feeding = seconds
        self.work(14)

    @rule(choice=st.integers(0, 1000))
    def replay(self, choice: int) -> None:
        if self.world.sent:
            self.world.tell(self.world.sent[choice % len(self.world.sent)])

    @rule()
    def power_is_lost(self) -> None:
        self.world.reset()

    @rule()
    def disarm(self) -> None:
        documents: Documents[Armed] = Documents(self.pool, ARMED)  # type: ignore[arg-type]
        self.pool.server = self.world.leader
        self.pool.before_write = lambda: None
        self.pool.locked.clear()
        stored = documents.get(HOST)
        if stored is not None and stored.value is not None:
            one = Armed(Arming.DISARMING, "node", "salt", SECRET.name, 1, 0.0)
            documents.put(HOST, one, stored.version)

    @invariant()
    def holds(self) -> None:
        if not hasattr(self, "fronts"):
            return
        self.played.holds()


TestLeases = Leases.TestCase
TestLeases.settings = settings(
    max_examples=EXAMPLES or 60,
    stateful_step_count=25,
    deadline=None,
    derandomize=not EXAMPLES,
    print_blob=False,
    suppress_health_check=list(HealthCheck),
)
TestLeases.__doc__ = (
    "A lease that is taken for expired while the node still runs VMs starts them a second time."
)
