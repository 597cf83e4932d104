"""Histories with faults: whatever happens between two steps, no VM runs twice and no live host is fenced.

`ONEXT_EXAMPLES=5000 pytest tests/hooks/availability/test_histories.py` searches longer.
"""

from __future__ import annotations

import os
from dataclasses import replace

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from hooks.availability.model import SETTLED, Phase
from hooks.availability.returning import RETURN_TIMEOUT
from tests.hooks.availability.happenings import FAULTS, FrontEnd, happen
from tests.hooks.availability.simulation import PLANNER_DELAY, POLICY, Killed, Server, build

HOSTS = 5
EXAMPLES = int(os.environ.get("ONEXT_EXAMPLES", "0"))


class AvailabilityMachine(RuleBasedStateMachine):
    """Rounds, time, and everything that may happen between any two steps of a round."""

    @initialize(
        placed=st.lists(st.integers(0, HOSTS - 1), min_size=1, max_size=8),
        armed=st.sets(st.integers(0, HOSTS - 1)),
        isolation=st.booleans(),
        max_down=st.integers(0, 2),
    )
    def begin(self, placed: list[int], armed: set[int], isolation: bool, max_down: int) -> None:
        policy = replace(POLICY, fence_isolated=isolation, max_down=max_down)
        self.cloud = build(HOSTS, dict(enumerate(placed)), policy)
        for number in armed:
            machine = self.cloud.machines[number]
            machine.armed, machine.has_bmc = True, False
            machine.lease_until = self.cloud.clock + 60
        self.front = FrontEnd(self.cloud, Server(self.cloud))

    @rule(times=st.integers(1, 12))
    def wait(self, times: int) -> None:
        for _ in range(times):
            self.cloud.advance(10.0)
            self.front.server.round()

    @rule(what=st.sampled_from(FAULTS), host=st.integers(0, HOSTS - 1))
    def happen(self, what: str, host: int) -> None:
        happen(self.front, what, host)

    @rule(what=st.sampled_from(FAULTS), host=st.integers(0, HOSTS - 1), after=st.integers(0, 6))
    def round_disturbed(self, what: str, host: int, after: int) -> None:
        left = [after]

        def disturb() -> None:
            left[0] -= 1
            if left[0] == -1:
                happen(self.front, what, host)
                if what == "kill":
                    raise Killed

        self.cloud.advance(10.0)
        try:
            self.front.server.round(disturb)
        except Killed:
            self.front.server = Server(self.cloud, self.front.server.number, self.front.server.term)
        if self.front.old is not None:
            self.front.old.round()

    @rule(
        what=st.sampled_from(FAULTS), host=st.integers(0, HOSTS - 1), after=st.integers(0, 9),
        back=st.sampled_from(["", "heal", "return", "takeover"]), seconds=st.sampled_from([20, 60, 400]),
    )  # fmt: skip
    def round_frozen(self, what: str, host: int, after: int, back: str, seconds: int) -> None:
        """Pause the process between two of its steps, while the world and, after a takeover, others go on."""
        left = [after]

        def freeze() -> None:
            left[0] -= 1
            if left[0] != -1:
                return
            frozen = self.front.server
            happen(self.front, what, host)
            if back:
                happen(self.front, back, host)
            self.cloud.unattended = self.front.server is frozen and seconds > PLANNER_DELAY
            for _ in range(seconds // 10):
                self.cloud.advance(10.0)
                if self.front.server is not frozen:
                    self.front.server.round()
            self.cloud.unattended = False

        self.cloud.advance(10.0)
        self.front.server.round(freeze)

    @invariant()
    def holds(self) -> None:
        if not hasattr(self, "cloud"):
            return
        self.cloud.check()

    def teardown(self) -> None:
        """After all faults ended, every incident ends or has an alarm."""
        if not hasattr(self, "cloud"):
            return
        for what in ("oned up", "go", "unpause"):
            happen(self.front, what, 0)
        self.wait(60)
        if any(record.phase is Phase.RETURNING for record in self.cloud.records.values()):
            self.wait(int(RETURN_TIMEOUT // 10) + 5)
        for record in self.cloud.records.values():
            stuck = record.phase in (Phase.SUSPECT, Phase.CONFIRM, Phase.FENCING)
            assert not stuck, f"host {record.host} stays in {record.phase}\n{self.cloud.timeline()}"
            if record.phase is Phase.RETURNING and not self.cloud.machines[record.host].serves:
                continue  # silent since less than the suspicion takes
            if record.phase is Phase.RETURNING:
                assert self.cloud.alarms, f"host {record.host} does not serve again\n{self.cloud.timeline()}"
            waiting = [e for e in record.entries if e.stage not in SETTLED]
            if record.phase in (Phase.HELD, Phase.EVACUATING) and waiting:
                assert self.cloud.alarms, self.cloud.timeline()


TestHistories = AvailabilityMachine.TestCase
TestHistories.settings = settings(
    max_examples=EXAMPLES or 150,
    stateful_step_count=30,
    deadline=None,
    derandomize=not EXAMPLES,
    print_blob=False,
    suppress_health_check=list(HealthCheck),
)
TestHistories.__doc__ = "A VM that runs twice destroys its disk; a live host that is fenced loses its VMs."
