"""Acting at its limits: the last second that is waited, the first one that is not, and who a host's state belongs to."""

from dataclasses import replace
from typing import Any

import pytest

from onext.hosts.actions import power_off, return_to_service, wake
from onext.hosts.actions.actuator import Leases, Limits
from onext.hosts.actions.fence import NotFenced, fence
from onext.hosts.actions.world import Answer, Failed, Sight
from onext.hosts.energy import Curve
from onext.hosts.model import Bmc, Claim, Kind, Phase
from onext.hosts.placement.problem import Move
from onext.oned.objects import HostState
from tests.onext.hosts.actions.cloud_model import START, FakeVm
from tests.onext.hosts.actions.scene import Scene

STEPS = {
    Phase.STOPPING: power_off.stopping,
    Phase.RETURNING: return_to_service.returning,
    Phase.WAKING: wake.waking,
}
CAPACITY = {"TOTAL_CPU": "800"}
OFFLINE, DISABLED, MONITORED = HostState.OFFLINE, HostState.DISABLED, HostState.MONITORED


def claimed(scene: Scene, phase: Phase, state: HostState, **changes: Any) -> Sight:
    """Let host 0 have a claim of ours, and return how it is seen."""
    machine = scene.machine()
    machine.state = state
    machine.claim = replace(Claim(phase, START, 0, 1, 120.0, capacity=CAPACITY), **changes)
    return scene.actuator.world.see(0)


def step(
    scene: Scene,
    phase: Phase,
    state: HostState,
    waited: float = 0.0,
    monitored: float = START,
    **changes: Any,
) -> str:
    """Take the next step of a claim that has been unchanged for so long."""
    sight = replace(claimed(scene, phase, state, **changes), monitored=monitored)
    scene.actuator.leases.waited = lambda *_: waited  # type: ignore[method-assign]
    return STEPS[phase](scene.actuator, sight)


@pytest.mark.parametrize(
    ("claim", "fault", "waited", "said", "phase"),
    [
        ({}, "stuck", 180.0, "waiting for it to shut down: it still runs", Phase.STOPPING),
        ({}, "stuck", 180.5, "powered off hard", Phase.STOPPING),
        ({"hard": True}, "stuck", 60.0, "waiting: it still runs", Phase.STOPPING),
        ({"hard": True}, "stuck", 60.5, "waiting whether it shuts down after all", Phase.RETURNING),
        ({}, "says-off", 180.0, "waiting for it to shut down: it answers although its BMC", Phase.STOPPING),
        ({}, "dead", 240.0, "waiting for its BMC: it does not answer", Phase.STOPPING),
        ({}, "dead", 240.5, "waiting for monitoring", Phase.RETURNING),
    ],
)
def test_how_long_a_host_may_take_to_go_off(
    scene: Scene, claim: dict[str, Any], fault: str, waited: float, said: str, phase: Phase
) -> None:
    """File systems would be cut off a second too early, or a host hang for ever."""
    scene.machine().fault = fault
    assert said in step(scene, Phase.STOPPING, OFFLINE, waited, **{"asked": START, **claim})
    assert scene.phase() is phase
    assert ("switch_bmc off-hard" in scene.log) is (said == "powered off hard")


def test_a_silent_bmc_of_a_silent_host_is_for_a_person(scene: Scene) -> None:
    """Only a person in front of the machine can decide whether its VMs may be started elsewhere."""
    scene.machine().fault, scene.machine().on = "dead", False
    assert step(scene, Phase.STOPPING, OFFLINE, 241.0) == "quarantined"
    assert scene.phase() is Phase.QUARANTINED
    assert scene.told("quarantine") == ["its BMC fell silent while it shut down: it does not answer"]


@pytest.mark.parametrize(
    ("state", "how", "on", "said", "phase"),
    [
        (OFFLINE, {"asked": START, "waited": 180.0}, True, "waiting whether it shuts down", Phase.RETURNING),
        (DISABLED, {"asked": START, "waited": 180.0}, True, "waiting whether it shuts down", Phase.RETURNING),
        (OFFLINE, {"asked": START, "waited": 180.0}, False, "it is off after all: to be woken", Phase.WAKING),
        (OFFLINE, {"asked": START, "waited": 180.5}, True, "waiting for monitoring", Phase.RETURNING),
        (OFFLINE, {}, True, "waiting for monitoring", Phase.RETURNING),
        (OFFLINE, {}, False, "it is off after all: to be woken", Phase.WAKING),
        (OFFLINE, {"capacity": {}}, True, "while it was emptied", Phase.LEFT),
        (OFFLINE, {"opened": True}, True, "into OFFLINE on its way back", Phase.LEFT),
        (DISABLED, {"monitored": START}, True, "waiting for monitoring", Phase.RETURNING),
        (DISABLED, {"monitored": START + 1.0}, True, "returned to service: x", None),
        (DISABLED, {"monitored": START, "capacity": {}}, True, "returned to service: x", None),
        (DISABLED, {"monitored": START}, False, "it is off after all: to be woken", Phase.WAKING),
        (DISABLED, {"monitored": START, "waited": 600.0}, True, "waiting for monitoring", Phase.RETURNING),
        (DISABLED, {"monitored": START, "waited": 600.5}, True, "quarantined", Phase.QUARANTINED),
        (DISABLED, {"since": START + 999, "waited": 900.0}, True, "waiting for monitoring", Phase.RETURNING),
        (MONITORED, {"asked": START}, True, "returned to service: x", None),
        (HostState.ERROR, {}, True, "returned to service: x", None),
    ],
)
def test_the_way_back_of_a_host_that_was_not_off(
    scene: Scene, state: HostState, how: dict[str, Any], on: bool, said: str, phase: Phase | None
) -> None:
    """VMs would be let in while a shutdown may still land, or a good host wait for a person."""
    scene.machine().on = on
    assert said in step(scene, Phase.RETURNING, state, **{"reason": "x", **how})
    assert scene.phase() is phase
    assert ("enable" in scene.log) is (phase is None and state is DISABLED)


@pytest.mark.parametrize(
    ("state", "how", "said", "phase"),
    [
        (OFFLINE, {}, "asked to switch on", Phase.WAKING),
        (OFFLINE, {"waited": 600.0}, "asked to switch on", Phase.WAKING),
        (OFFLINE, {"waited": 600.5}, "it did not come within 600 s", Phase.WAKING),
        (OFFLINE, {"waited": 600.5, "failures": 1}, "it did not come within 600 s", Phase.QUARANTINED),
        (OFFLINE, {"opened": True}, "into OFFLINE on its way back", Phase.LEFT),
        (OFFLINE, {"asked": START}, "waiting for monitoring", Phase.WAKING),
        (
            DISABLED,
            {"asked": START, "opened": True, "monitored": START},
            "waiting for monitoring",
            Phase.WAKING,
        ),
        (DISABLED, {"asked": START, "opened": True, "monitored": START + 1.0}, "awake", None),
        (MONITORED, {"asked": START, "monitored": START + 1.0}, "awake", None),
        (HostState.MONITORING_MONITORED, {"asked": START, "monitored": START + 1.0}, "awake", None),
        (MONITORED, {"asked": START, "monitored": START}, "into MONITORED while it woke", Phase.LEFT),
        (MONITORED, {"monitored": START + 1.0}, "into MONITORED while it woke", Phase.LEFT),
        (HostState.ERROR, {"asked": START, "monitored": START + 1.0}, "into ERROR while it woke", Phase.LEFT),
    ],
)
def test_the_way_back_of_a_host_that_slept(
    scene: Scene, state: HostState, how: dict[str, Any], said: str, phase: Phase | None
) -> None:
    """VMs would start before the drivers are current, or a host that an operator took be enabled."""
    assert said in step(scene, Phase.WAKING, state, **how)
    assert scene.phase() is phase


def test_a_wake_that_failed_begins_anew_and_is_counted(scene: Scene) -> None:
    """A host would be quarantined after its first failure, or be tried for ever."""
    scene.cloud.pass_time(10.0)
    step(scene, Phase.WAKING, OFFLINE, 601.0, asked=START, slept=True, opened=False)
    claim = scene.machine().claim
    assert claim
    assert (claim.failures, claim.asked, claim.slept) == (1, 0.0, True)
    assert claim.since > START
    assert scene.machine().record.failed_wakes == 1
    assert scene.told("wake-failed") == ["it did not come within 600 s; others are woken in its place"]
    step(scene, Phase.WAKING, OFFLINE, 601.0, failures=1)
    assert scene.told("quarantine") == ["it did not come within 600 s; it failed 2 times"]
    assert scene.machine().record.failed_wakes == 2


@pytest.mark.parametrize(
    ("slept", "seconds", "proven", "boot"),
    [
        (True, 90.0, True, 90.0),
        (False, 90.0, False, 90.0),
        (True, -5.0, True, 1.0),
        (True, 9000.0, True, 7200.0),
    ],
)
def test_a_wake_is_a_proof_only_of_a_host_that_was_off(
    scene: Scene, slept: bool, seconds: float, proven: bool, boot: float
) -> None:
    """A host that was on all the time would prove that it wakes; a clock that jumps would be a boot of hours."""
    now = scene.cloud.now
    step(
        scene,
        Phase.WAKING,
        MONITORED,
        asked=now - seconds,
        slept=slept,
        monitored=now + 1e6,
        reason="VM 9 waits",
    )
    record = scene.machine().record
    assert record.proven == pytest.approx(scene.cloud.now if proven else START, abs=1.0)
    assert record.boot_seconds == pytest.approx(boot, abs=0.5)
    assert (record.wakes, scene.told("on")) == (1, ["VM 9 waits"])
    assert record.on_since == pytest.approx(scene.cloud.now, abs=1.0)


@pytest.mark.parametrize(
    ("phase", "since", "by_hand", "seconds"),
    [
        (Phase.OFF, -7200.0, False, 7200.0),
        (Phase.OFF, -7200.0, True, 7200.0),
        (Phase.OFF, 500.0, False, 0.0),
        (Phase.QUARANTINED, -7200.0, True, 0.0),
    ],
)
def test_only_a_sleep_that_was_proven_saves(
    scene: Scene, phase: Phase, since: float, by_hand: bool, seconds: float
) -> None:
    """Reports would count hours in quarantine, or subtract those of a clock that was set back."""
    claimed(scene, phase, OFFLINE, since=START + since)
    scene.machine().on = False
    assert wake.wake(scene.actuator, 0, "needed", by_hand=by_hand) == "asked to switch on"
    record, claim = scene.machine().record, scene.machine().claim
    assert record.off_seconds == pytest.approx(seconds, abs=1.0)
    assert record.joules == pytest.approx(Curve().saved(seconds, 180.0) if seconds else 0.0, rel=0.01)
    assert claim
    assert (claim.slept, claim.failures) == (phase is Phase.OFF, 0)


@pytest.mark.parametrize("phase", [phase for phase in Phase if phase is not Phase.OFF])
def test_only_sleeping_hosts_are_woken(scene: Scene, phase: Phase) -> None:
    """A claim in the middle of another step would be overwritten."""
    claimed(scene, phase, OFFLINE)
    scene.machine().on = False
    assert wake.wake(scene.actuator, 0, "needed") == "it was not powered off by onext"
    by_hand = wake.wake(scene.actuator, 0, "needed", by_hand=True)
    assert (by_hand == "asked to switch on") is (phase is Phase.QUARANTINED)


@pytest.mark.parametrize(
    ("late", "min_hosts", "fault", "what", "said"),
    [
        (60.0, 2, "", "off-soft", ""),
        (60.5, 2, "", "off-soft", "it took too long since the intent was written"),
        (0.0, 3, "", "off-soft", "MIN_HOSTS is 3, and others have gone meanwhile"),
        (0.0, 3, "", "on", ""),
        (60.5, 0, "", "on", "it took too long since the intent was written"),
        (0.0, 0, "forbidden", "off-soft", "MODE is off"),
        (0.0, 0, "forbidden", "off-hard", "MODE is off"),
        (0.0, 0, "forbidden", "on", ""),
        (0.0, 0, "vm", "off-hard", "it is no longer empty, closed and claimed by onext"),
        (0.0, 0, "vm", "on", ""),
        (0.0, 0, "disabled", "off-soft", "it is no longer empty, closed"),
        (0.0, 0, "disabled", "on", ""),
        (0.0, 0, "enabled", "on", "it is no longer empty, closed"),
        (0.0, 0, "other", "on", "it is no longer empty, closed"),
        (0.0, 0, "unverified", "on", "it is no longer empty, closed"),
        (0.0, 0, "gone", "off-soft", "it is no longer empty, closed"),
    ],
)
def test_what_speaks_against_an_order_at_the_last_look(
    scene: Scene, late: float, min_hosts: int, fault: str, what: str, said: str
) -> None:
    """A BMC would be told what was true a minute ago."""
    sight, machine, actuator = claimed(scene, Phase.STOPPING, OFFLINE), scene.machine(), scene.actuator
    actuator.limits = replace(actuator.limits, min_hosts=min_hosts)
    if fault == "forbidden":
        actuator.forbids = lambda *_: "MODE is off"
    elif fault == "vm":
        scene.cloud.vms[9] = FakeVm(9, 0, Kind.PARKED)
    elif fault in ("disabled", "enabled"):
        machine.state = DISABLED if fault == "disabled" else MONITORED
    elif fault == "other":
        machine.claim = replace(machine.claim or Claim(Phase.OFF, 0), server=1)
    elif fault == "unverified":
        machine.forged, machine.copy = True, None
    elif fault == "gone":
        machine.claim = None
    actuator.world.monotonic = lambda: 1000.0 + late  # type: ignore[method-assign]
    found = actuator.objection(sight, what, 1000.0)
    assert said in found
    assert bool(found) is bool(said)


@pytest.mark.parametrize(("age", "stale"), [(60.0, False), (60.5, True), (None, False)])
def test_a_decision_is_void_after_half_a_lease(scene: Scene, age: float | None, stale: bool) -> None:
    """Another leader may decide by then."""
    scene.actuator.world.monotonic = lambda: 1000.0  # type: ignore[method-assign]
    scene.actuator.decided = None if age is None else 1000.0 - age
    assert scene.actuator.stale is stale


@pytest.mark.parametrize(
    ("changes", "later", "binds"),
    [
        ({}, [0.0], [True]),
        ({}, [0.0, 119.5, 120.0], [True, True, False]),
        ({"lease": 0.0}, [0.0], [False]),
        ({"lease": 1.0}, [0.0, 0.5, 1.0], [True, True, False]),
        ({"phase": Phase.OFF}, [0.0], [False]),
        ({"server": 0}, [0.0], [True]),
        ({"term": 1}, [0.0], [True]),
        ({"server": 0, "term": 1}, [0.0], [False]),
    ],
)
def test_when_another_servers_intent_binds(
    scene: Scene, changes: dict[str, Any], later: list[float], binds: list[bool]
) -> None:
    """Two front-ends would press one button, or a host wait for a server that is gone."""
    claim = replace(Claim(Phase.WAKING, START, 1, 2, 120.0), **changes)
    leases, world = Leases(), scene.actuator.world
    found = []
    for seconds in later:
        world.monotonic = lambda seconds=seconds: 1000.0 + seconds  # type: ignore[method-assign,misc]
        found.append(leases.bind(0, claim, world))
    assert found == binds


def test_times_of_claims_are_kept_for_the_next_process(scene: Scene) -> None:
    """What this process has counted itself must not be replaced by what an earlier one saved."""
    leases, world = Leases(), scene.actuator.world
    claim = Claim(Phase.STOPPING, START)
    assert leases.waited(0, claim, world) == 0.0
    scene.cloud.monotonic += 30.0
    assert leases.waited(0, claim, world) == 30.0
    assert leases.waited(0, replace(claim, reason="another", asked=1.0), world) == 30.0, "the same phase"
    leases.restore({"0": ("off", 1, -500.0), "7": ("stopping", round(START), -500.0)})
    assert leases.waited(0, claim, world) == 30.0
    assert leases.waited(7, claim, world) == scene.cloud.monotonic + 500.0
    assert leases.saved()["7"] == ("stopping", round(START), -500.0)


@pytest.mark.parametrize(
    ("before", "mark", "by_hand"),
    [
        (None, False, False),
        (None, True, True),
        (Claim(Phase.DRAINING, START, by_hand=True), False, True),
        (Claim(Phase.DRAINING, START, by_hand=True, verified=False), False, False),
        (Claim(Phase.DRAINING, START), True, True),
    ],
)
def test_whose_order_it_is_stays_with_the_host(
    scene: Scene, before: Claim | None, mark: bool, by_hand: bool
) -> None:
    """The planner would wake what a person switched off, or a forged claim be a person's order."""
    scene.actuator.mark_by_hand = mark
    sight = replace(scene.actuator.world.see(0), claim=before)
    scene.machine().claim = before if before and before.verified else None
    claim = scene.actuator.claim(sight, Phase.CLOSING)
    assert (claim.by_hand, claim.verified, claim.asked, claim.lease) == (by_hand, True, 0.0, 120.0)


@pytest.mark.parametrize(
    ("claim", "refused"),
    [
        (Claim(Phase.HELD, START, holder="availability"), True),
        (Claim(Phase.HELD, START, holder="availability", verified=False), False),
        (Claim(Phase.LEFT, START, holder="availability"), False),
        (Claim(Phase.DRAINING, START), False),
    ],
)
def test_a_host_that_another_part_holds_is_refused(scene: Scene, claim: Claim, refused: bool) -> None:
    """Power would switch off what availability evacuates."""
    sight = replace(scene.actuator.world.see(0), claim=claim)
    scene.machine().claim = claim if claim.verified else None
    for deed in (lambda: scene.actuator.claim(sight, Phase.CLOSING), lambda: scene.actuator.release(sight)):
        scene.machine().claim = claim if claim.verified else None
        if refused:
            with pytest.raises(Failed, match="availability works on this host"):
                deed()
        else:
            deed()


def test_a_host_is_left_alone_for_a_day(scene: Scene) -> None:
    """It would be taken again at once, or never."""
    sight = claimed(scene, Phase.DRAINING, DISABLED)
    scene.actuator.leave(sight, "he did")
    claim = scene.machine().claim
    assert claim
    assert claim.until == pytest.approx(scene.cloud.now + 86_400.0, abs=1.0)


@pytest.mark.parametrize(
    ("waited", "vms", "refused", "said"),
    [
        (7200.0, (6, 7), {}, "2 VMs to go, 1 migrations begun"),
        (7200.5, (6, 7), {}, "returned to service: its VMs did not leave in time"),
        (0.0, (6, 7), {7: "locked", 9: "no room"}, "returned to service: VM 7 cannot move: locked"),
        (0.0, (6, 7), {9: "no room"}, "2 VMs to go, 1 migrations begun"),
        (0.0, (), {}, "asked to shut down"),
    ],
)
def test_how_long_vms_may_take_to_leave(
    scene: Scene, waited: float, vms: tuple[int, ...], refused: dict[int, str], said: str
) -> None:
    """A host would be disabled for ever beside a VM that does not leave, or given back too early."""
    for number in vms:
        scene.cloud.vms[number] = FakeVm(number, 0, Kind.RUNNING)
    claimed(scene, Phase.DRAINING, DISABLED, asked=START, capacity={})
    scene.actuator.refused = refused
    scene.actuator.leases.waited = lambda *_: waited  # type: ignore[method-assign]
    moves = (Move((6,), 0, 1, 1.0), Move((99,), 0, 1, 1.0))
    assert power_off.power_off(scene.actuator, 0, moves, "empty") == said


def test_vms_that_hold_a_host_are_named_a_few_at_a_time(scene: Scene) -> None:
    """A host with a hundred VMs would fill the log with each look."""
    for number in range(9, 2, -1):
        scene.cloud.vms[number] = FakeVm(number, 0, Kind.RUNNING)
    claimed(scene, Phase.CLOSING, DISABLED)
    scene.off()
    assert scene.told("return") == ["VMs arrived before it was closed: 3, 4, 5, 6, 7"]
    wild = Scene()
    wild.machine().wild = 2
    claimed(wild, Phase.CLOSING, DISABLED)
    wild.off()
    assert wild.told("return") == ["VMs arrived before it was closed: 2 wild ones"]


@pytest.mark.parametrize(("late", "fenced"), [(60.0, True), (60.5, False)])
def test_a_fencing_is_ordered_within_half_a_lease(scene: Scene, late: float, fenced: bool) -> None:
    """Another leader may have returned the host to service by then."""
    scene.machine().state = HostState.ERROR
    world, times = scene.actuator.world, iter([1000.0, 1000.0, 1000.0 + late])
    world.monotonic = lambda: next(times, 1000.0 + late)  # type: ignore[method-assign]
    scene.actuator.leases.waited = lambda *_: 0.0  # type: ignore[method-assign]
    times = iter([1000.0, 1000.0 + late])
    pauses: list[float] = []

    def pause(seconds: float) -> None:
        pauses.append(seconds)
        scene.cloud.pass_time(seconds)

    if fenced:
        assert fence(scene.actuator, 0, 300.0, pause) == "node-0 is off"
        assert pauses == [2.0] * len(pauses), "a BMC is not asked without a pause"
    else:
        with pytest.raises(NotFenced, match="it took too long"):
            fence(scene.actuator, 0, 300.0, scene.cloud.pass_time)
    claim = scene.machine().claim
    assert claim
    assert (claim.phase, claim.reason) == (Phase.LEFT, "fenced")
    assert claim.until == pytest.approx(scene.cloud.now + 86_400.0, abs=60.0)
    assert ("switch_bmc off-hard" in scene.log) is fenced


@pytest.mark.parametrize(
    ("state", "said"),
    [
        (HostState.ERROR, "its BMC does not report that it is off: on"),
        (HostState.MONITORING_ERROR, "its BMC does not report that it is off: on"),
        (HostState.MONITORED, "only a host in ERROR is fenced"),
        (HostState.OFFLINE, "only a host in ERROR is fenced"),
    ],
)
def test_only_a_host_in_error_is_fenced(
    scene: Scene, state: HostState, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A host that takes VMs would be cut off."""
    scene.machine().state = state
    monkeypatch.setattr(scene.actuator.world, "ask_bmc", lambda _: Answer(Bmc.ON))
    with pytest.raises(NotFenced, match=said):
        fence(scene.actuator, 0, 5.0, scene.cloud.pass_time)
    assert ("switch_bmc off-hard" in scene.log) is said.startswith("its BMC")


def test_limits_without_settings_are_careful() -> None:
    """A command that gives none would let a hundred hosts boot at once, or cut a shutdown short."""
    assert Limits() == Limits(120.0, 180.0, 60.0, 600.0, 7200.0, 2, 86_400.0, 0, 5)
