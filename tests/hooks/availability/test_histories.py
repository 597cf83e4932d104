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
from onext.oned.objects import HostState
from tests.hooks.availability.simulation import POLICY, Killed, Server, build

HOSTS = 5
EXAMPLES = int(os.environ.get("ONEXT_EXAMPLES", "0"))
FAULTS = (
    "die", "hang", "cut", "cut all", "cut storage", "freeze storage", "heal", "return", "bmc silent", "bmc other",
    "bmc stuck", "bmc ok", "slow off", "disable", "enable", "offline", "maintain", "end maintenance", "confirm",
    "fails starts", "lock", "move", "delete", "suspend", "poweroff", "plan", "oned down", "oned up", "jump",
    "takeover", "kill", "stop", "go", "pause", "unpause", "reboot", "unsure", "sure",
)  # fmt: skip


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
        self.server = Server(self.cloud)
        self.old: Server | None = None

    @rule(times=st.integers(1, 12))
    def wait(self, times: int) -> None:
        for _ in range(times):
            self.cloud.advance(10.0)
            self.server.round()

    @rule(what=st.sampled_from(FAULTS), host=st.integers(0, HOSTS - 1))
    def happen(self, what: str, host: int) -> None:
        happen(self, what, host)

    @rule(what=st.sampled_from(FAULTS), host=st.integers(0, HOSTS - 1), after=st.integers(0, 6))
    def round_disturbed(self, what: str, host: int, after: int) -> None:
        left = [after]

        def disturb() -> None:
            left[0] -= 1
            if left[0] == -1:
                happen(self, what, host)
                if what == "kill":
                    raise Killed

        self.cloud.advance(10.0)
        try:
            self.server.round(disturb)
        except Killed:
            self.server = Server(self.cloud, self.server.number, self.server.term)
        if self.old is not None:
            self.old.round()

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
            happen(self, what, 0)
        self.wait(60)
        for record in self.cloud.records.values():
            stuck = record.phase in (Phase.SUSPECT, Phase.CONFIRM, Phase.FENCING)
            assert not stuck, f"host {record.host} stays in {record.phase}\n{self.cloud.timeline()}"
            waiting = [e for e in record.entries if e.stage not in SETTLED]
            if record.phase in (Phase.HELD, Phase.EVACUATING) and waiting:
                assert self.cloud.alarms, self.cloud.timeline()


def happen(machine: AvailabilityMachine, what: str, number: int) -> None:  # noqa: C901, PLR0912
    """Let something happen to the cloud."""
    cloud = machine.cloud
    one, host = cloud.machines[number], cloud.hosts[number]
    cloud.log(f"* {what} {number}")
    if what == "die":
        one.power_off()
    elif what == "hang" and one.on:
        one.hung = True
    elif what == "cut":
        one.network = False
    elif what == "cut all":
        one.network = one.peers = False
    elif what in ("cut storage", "freeze storage"):
        one.network = one.peers = one.storage = False
    elif what == "heal":
        one.network = one.peers = one.storage = True
    elif what == "return":
        _boot(machine, number)
    elif what == "reboot" and one.on:
        one.power_off()
        _boot(machine, number)
    elif what.startswith("bmc "):
        one.bmc = what.removeprefix("bmc ")
    elif what == "slow off":
        one.slow_off = 40.0
    elif what == "disable" and host.state is not HostState.OFFLINE:
        host.state = HostState.DISABLED
    elif what == "enable" and one.serves and one.network and number not in cloud.records:
        host.state = HostState.MONITORED
    elif what == "offline":
        host.state = HostState.OFFLINE
    elif what == "maintain":
        host.maintenance = True
    elif what == "end maintenance":
        host.maintenance = False
    elif what == "confirm" and not one.on and number in cloud.records:
        cloud.confirmed.add(number)
    elif what == "fails starts":
        one.fails_starts = not one.fails_starts
    elif what == "unsure":
        one.unsure = True
    elif what == "sure":
        one.unsure = False
    else:
        _to_cloud(machine, what, number)


def _boot(machine: AvailabilityMachine, number: int) -> None:
    one = machine.cloud.machines[number]
    if one.on and not one.hung:
        return
    one.power_off()
    one.on, one.boot = True, one.boot + 1
    machine.cloud.confirmed.discard(number)
    one.lease_until = machine.cloud.clock + 60


def _to_cloud(machine: AvailabilityMachine, what: str, number: int) -> None:  # noqa: C901
    cloud = machine.cloud
    vms = [vm for vm in cloud.vms.values() if vm.host == number]
    if what == "oned down":
        cloud.oned_up = False
    elif what == "oned up":
        cloud.oned_up = True
        for host in cloud.hosts.values():
            host.heard = max(host.heard, cloud.clock - 10)
    elif what == "jump":
        cloud.offset += -7200.0 if cloud.offset > 1.7e9 else 3600.0
    elif what == "takeover":
        machine.old = machine.server
        cloud.leader = (1 - cloud.leader[0], cloud.leader[1] + 1)
        machine.server = Server(cloud, *cloud.leader)
    elif what == "stop":
        cloud.halted = True
    elif what == "go":
        cloud.halted = False
    elif what in ("pause", "unpause"):
        cloud.paused = what == "pause"
    elif what == "plan":
        cloud.plan = True
    elif vms and what == "delete" and cloud.machines[number].serves:
        cloud.machines[number].running.discard(vms[0].id)
        cloud.booting.pop(vms[0].id, None)
        del cloud.vms[vms[0].id]
    elif vms and what in ("suspend", "poweroff") and cloud.machines[number].serves and vms[0].lcm == 3:
        cloud.machines[number].running.discard(vms[0].id)
        state = 5 if what == "suspend" else 8
        cloud.vms[vms[0].id] = replace(vms[0], state=state, lcm=0, parked_by="person")
    elif vms and what == "lock":
        cloud.vms[vms[0].id] = replace(vms[0], locked=True)


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
