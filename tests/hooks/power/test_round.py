"""One round: what is done of a decision, which claims continue by themselves, and how soon the next look comes."""

from dataclasses import replace
from typing import Any

import pytest

from hooks.power.decide import Action, Drop, Leave, PowerOff, Return, Wake
from hooks.power.round import act, under_way
from onext.hosts.actions.world import Failed
from onext.hosts.model import Claim, Cluster, Phase
from onext.oned.objects import HostState
from tests.hooks.power.test_decide import NOW, cluster, host, vm
from tests.onext.hosts.actions.cloud_model import START, observe
from tests.onext.hosts.actions.scene import Scene


def with_claim(phase: Phase, since: float) -> Cluster:
    return cluster([host(0, phase, claim=Claim(phase, since)), host(1)], [vm(1, 1)])


@pytest.mark.parametrize(
    ("here", "actions", "soon"),
    [
        (with_claim(Phase.OFF, NOW), (), False),
        (with_claim(Phase.OFF, NOW), (Wake(0, "x"),), True),
        (with_claim(Phase.OFF, NOW), (Leave(0, "x"),), False),
        (with_claim(Phase.OFF, NOW), (Leave(0, "x"), Return(1, "x")), True),
        (with_claim(Phase.OFF, NOW), (PowerOff(0, "empty"),), True),
        (with_claim(Phase.OFF, NOW), (PowerOff(1, "a VM is on it"),), False),
        (with_claim(Phase.WAKING, NOW), (), True),
        (with_claim(Phase.STOPPING, NOW - 599.0), (), True),
        (with_claim(Phase.RETURNING, NOW - 600.0), (), False),
        (with_claim(Phase.RETURNING, NOW + 1.0), (), False),
    ],
)
def test_the_next_look_comes_soon_where_something_is_about_to_happen(
    here: Cluster, actions: tuple[Action, ...], soon: bool
) -> None:
    """A VM would wait a minute longer for each step of its host, or a host that hangs be asked without end."""
    assert under_way(here, actions, NOW) is soon


def claimed(scene: Scene, phase: Phase | None, **changes: Any) -> None:
    """Let host 0 have such a claim, in the document and in the copy."""
    state = {Phase.LEFT: HostState.MONITORED, Phase.DRAINING: HostState.DISABLED, None: HostState.MONITORED}
    machine = scene.machine()
    machine.state = state.get(phase, HostState.OFFLINE)
    capacity = {} if phase is Phase.DRAINING else {"TOTAL_CPU": "800"}
    claim = Claim(phase, START, 0, 1, 120.0, capacity=capacity) if phase else None
    machine.claim = replace(claim, **changes) if claim else None


@pytest.mark.parametrize(
    ("phase", "changes", "action", "said", "left"),
    [
        (None, {}, Return(0, "needed"), "onext has no claim on it", None),
        (
            Phase.DRAINING,
            {"server": 1, "term": 2},
            Return(0, "needed"),
            "another server's intent",
            Phase.DRAINING,
        ),
        (Phase.DRAINING, {}, Return(0, "needed"), "returned to service: needed", None),
        (Phase.CLOSING, {}, Return(0, "needed"), "waiting for monitoring", Phase.RETURNING),
        (Phase.OFF, {}, Return(0, "needed"), "its state has changed", Phase.OFF),
        (Phase.LEFT, {}, Drop(0, "its pause has ended"), "its pause has ended", None),
        (Phase.OFF, {}, Drop(0, "its pause has ended"), "its state has changed", Phase.OFF),
        (Phase.OFF, {}, Leave(0, "he did"), "left alone: he did", Phase.LEFT),
        (Phase.LEFT, {}, Wake(0, "needed"), "it was not powered off by onext", Phase.LEFT),
    ],
)
def test_a_decision_is_carried_out_on_what_the_host_is_now(
    scene: Scene, phase: Phase | None, changes: dict[str, Any], action: Action, said: str, left: Phase | None
) -> None:
    """What another part or server did since the decision would be undone."""
    claimed(scene, phase, **changes)
    assert said in scene.act(action)[0]
    assert scene.phase() is left


@pytest.mark.parametrize(
    ("phase", "changes", "said"),
    [
        (Phase.OFF, {}, None),
        (Phase.DRAINING, {}, None),
        (Phase.CLOSING, {}, None),
        (Phase.LEFT, {}, None),
        (Phase.QUARANTINED, {"by_hand": True}, None),
        (Phase.OFF, {"by_hand": True}, None),
        (Phase.STOPPING, {}, "waiting for it to shut down: it still runs"),
        (Phase.WAKING, {}, "asked to switch on"),
        (Phase.RETURNING, {}, "waiting for monitoring"),
        (Phase.CLOSING, {"by_hand": True}, "asked to shut down"),
        (Phase.RETURNING, {"server": 1, "term": 2}, "another server's intent still binds"),
    ],
)
def test_only_claims_that_wait_continue_by_themselves(
    scene: Scene, phase: Phase, changes: dict[str, Any], said: str | None
) -> None:
    """A drain would go on that the decision gave up, or a host in the middle wait for ever."""
    claimed(scene, phase, **changes)
    assert scene.act().get(0) == said


def test_what_was_acted_on_has_no_second_step_in_the_same_round(scene: Scene) -> None:
    """Two orders in one breath: a BMC would be asked for the state that its first order began."""
    claimed(scene, Phase.CLOSING)
    said = scene.act(Return(0, "needed"))
    assert said == {0: "waiting for monitoring"}
    assert scene.log.count("write returning") == 2, "back, and opened"


@pytest.mark.parametrize(("waking", "begun"), [(0, 2), (1, 1), (2, 0), (3, 0)])
def test_S13_hosts_that_boot_count_among_those_that_are_brought_back(
    scene: Scene, waking: int, begun: int
) -> None:
    """More would start at once than the breaker of the room bears."""
    scene.cloud.machines.update({number: type(scene.machine())(number) for number in range(3, 6)})
    for number, machine in scene.cloud.machines.items():
        machine.state, machine.known, machine.on = HostState.OFFLINE, False, False
        claim = Claim(Phase.OFF, START - 3600, 0, 1, 0.0, capacity={"TOTAL_CPU": "800"})
        if number < waking:
            machine.claim = replace(claim, phase=Phase.WAKING, since=START, asked=START)
        else:
            machine.forged, machine.copy, machine.claim = True, claim, None
    scene.actuator.limits = replace(scene.actuator.limits, parallel_on=2)
    said = scene.act()
    waits = [host for host, text in said.items() if "waits for its turn to be brought back" in text]
    assert len(waits) == 6 - waking - begun
    assert sum(machine.on for machine in scene.cloud.machines.values()) == begun + waking


def test_a_host_that_fails_keeps_no_other_from_its_turn(scene: Scene) -> None:
    """One host whose document cannot be written would stop the whole cluster."""

    def fails() -> None:
        raise Failed("oned does not answer")

    for number in (0, 1):
        machine = scene.machine(number)
        machine.claim = Claim(Phase.LEFT, START, 0, 1)
    scene.before["write"] = fails
    outcome = act(scene.actuator, observe(scene.cloud), [Drop(0, "over"), Drop(1, "over")])
    assert outcome == {0: "tried again later: oned does not answer", 1: "over"}
    scene.actuator.world.halted = True  # type: ignore[attr-defined]
    scene.machine(1).claim = Claim(Phase.LEFT, START, 0, 1)
    stopped = act(scene.actuator, observe(scene.cloud), [Leave(1, "he did")])
    assert stopped[1] == "stopped by `onext stop power`"
