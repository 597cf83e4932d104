"""A host whose claim no document verifies is brought back, whatever the claim is, and nothing else happens."""

from dataclasses import replace

import pytest

from onext.hosts.model import Claim, Phase
from onext.oned.objects import HostState
from tests.onext.hosts.actions.cloud_model import START
from tests.onext.hosts.actions.scene import Scene

CLAIM = Claim(Phase.OFF, START - 3600, 0, 1, 0.0, capacity={"TOTAL_CPU": "800"})


def forge(scene: Scene, claim: Claim | None) -> None:
    """Let only the template hold a claim."""
    machine = scene.machine()
    machine.forged, machine.copy, machine.claim = True, claim, None


def test_S5_a_host_asleep_under_an_old_claim_is_woken_and_proven(scene: Scene) -> None:
    """It would be off for ever."""
    machine = scene.machine()
    machine.state, machine.known, machine.on = HostState.OFFLINE, False, False
    machine.record = replace(machine.record, proven=0.0)
    forge(scene, CLAIM)
    scene.pass_rounds(40)
    assert (scene.phase(), machine.state, machine.on) == (None, HostState.MONITORED, True)
    assert machine.record.proven > START, "its BMC reported it off, and it woke"
    assert scene.told("recover") == ["no record verifies its claim: brought back into service"]
    assert not [entry for entry in scene.log if entry.startswith("switch_bmc off")]


@pytest.mark.parametrize("phase", [phase for phase in Phase if phase not in (Phase.LEFT, Phase.QUARANTINED)])
@pytest.mark.parametrize("state", [HostState.MONITORED, HostState.DISABLED, HostState.OFFLINE])
def test_S5_no_forged_claim_switches_a_running_host_off(scene: Scene, phase: Phase, state: HostState) -> None:
    """The forged claim of an empty host had it switched off in 66 s."""
    machine = scene.machine()
    machine.state = state
    forge(scene, replace(CLAIM, phase=phase, by_hand=True, asked=1.0))
    scene.pass_rounds(60)
    assert machine.on
    assert not [entry for entry in scene.log if entry.startswith("switch_bmc off")]
    assert not machine.forged, "the copy was replaced or removed"
    assert scene.phase() in (None, Phase.LEFT)
    if state is HostState.MONITORED:
        assert "disable" not in scene.log


def test_S5_a_running_host_with_a_forged_sleep_is_left_to_whoever_runs_it(scene: Scene) -> None:
    """Somebody switched it on and put it OFFLINE: enabling it would undo that."""
    machine = scene.machine()
    machine.state = HostState.OFFLINE
    forge(scene, CLAIM)
    scene.pass_rounds(1)
    assert (scene.phase(), machine.state) == (Phase.LEFT, HostState.OFFLINE)


def test_S13_hosts_without_a_verified_claim_are_woken_a_few_at_a_time(scene: Scene) -> None:
    """A hundred hosts that start at once trip the breaker of the room."""
    for machine in scene.cloud.machines.values():
        machine.state, machine.known, machine.on = HostState.OFFLINE, False, False
        machine.forged, machine.copy, machine.claim = True, CLAIM, None
    scene.actuator.limits = replace(scene.actuator.limits, parallel_on=1)
    outcome = scene.act()
    assert min(outcome[host] for host in outcome) == "asked to switch on"
    assert sum("waits for its turn" in said for said in outcome.values()) == 2
    again = scene.act()
    assert sum("waits for its turn" in said for said in again.values()) == 2, "the first one still boots"
    scene.pass_rounds(120)
    assert all(machine.state is HostState.MONITORED for machine in scene.cloud.machines.values())


def test_S5_another_servers_lease_binds_before_a_host_is_brought_back(scene: Scene) -> None:
    """During an upgrade of a zone the earlier version may still be acting on it."""
    machine = scene.machine()
    machine.state = HostState.DISABLED
    forge(scene, replace(CLAIM, phase=Phase.DRAINING, server=1, term=9, lease=120.0))
    assert "another server's intent" in scene.act()[0]
    scene.cloud.pass_time(121.0)
    scene.act()
    scene.pass_rounds(3)
    assert machine.state is HostState.MONITORED
