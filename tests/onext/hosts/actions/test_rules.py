"""The safety rules of acting, one by one, on the model of a cloud."""

import itertools
from dataclasses import replace

import pytest

from hooks.power.decide import Action, Return
from hooks.power.guard import refusal
from hooks.power.policy import Mode, Policy
from hooks.power.round import act
from onext.hosts.actions import wake
from onext.hosts.actions.fence import NotFenced, fence
from onext.hosts.actions.world import Answer, Failed, Stopped
from onext.hosts.model import Bmc, Claim, Kind, Phase
from onext.oned.objects import HostState
from tests.onext.hosts.actions.cloud_model import START, FakeVm, observe
from tests.onext.hosts.actions.scene import Scene


def test_order_of_switching_off(scene: Scene) -> None:
    """Intent before deed, OFFLINE before power: else HA sees a failure, or a VM is killed."""
    scene.asleep()
    scene = Scene()
    scene.off()
    assert scene.log == [
        "write draining", "disable", "write draining", "write closing", "offline", "write stopping", "switch_bmc off-soft",
    ]  # fmt: skip


@pytest.mark.parametrize(("by_hand", "begun"), [(True, True), (False, False)])
def test_S5_an_order_by_hand_needs_no_mode_auto(scene: Scene, by_hand: bool, begun: bool) -> None:
    """With MODE=advise a person may still power a host off, and the planner may not."""
    advise, now = Policy(mode=Mode.ADVISE), scene.cloud.now
    scene.actuator.forbids = lambda sight, enrolling: refusal(
        replace(sight, record=replace(sight.record, proven=now)), advise, now, enrolling=enrolling
    )
    scene.actuator.mark_by_hand = by_hand
    said = scene.off()
    assert (scene.phase() is Phase.STOPPING) is begun, said
    assert begun or "MODE is advise" in said


def test_off_is_believed_only_when_the_bmc_confirms(scene: Scene) -> None:
    """A host that burns on would be counted as asleep."""
    scene.machine().fault = "lying"
    scene.off()
    scene.cloud.pass_time(100)
    scene.off()
    claim = scene.machine().claim
    assert claim is not None
    assert claim.phase is Phase.STOPPING


def test_hard_off_comes_only_after_the_soft_one_had_its_time(scene: Scene) -> None:
    """The file systems of a host that was shutting down would be cut off."""
    scene.machine().fault = "stuck"
    scene.off()
    scene.off()
    assert "switch_bmc off-hard" not in scene.log
    scene.cloud.pass_time(200)
    scene.off()
    assert scene.log[-2:] == ["write stopping", "switch_bmc off-hard"]


@pytest.mark.parametrize(
    "moment", ["write draining", "disable", "write closing", "offline", "write stopping"]
)
def test_a_vm_that_comes_at_any_step_saves_its_host(scene: Scene, moment: str) -> None:
    """The VM would die."""
    scene.before[moment] = lambda: scene.cloud.vms.update({9: FakeVm(9, 0, Kind.RUNNING)})
    scene.off()
    assert not any(entry.startswith("switch_bmc") for entry in scene.log)
    scene.cloud.pass_time(20)
    for _ in range(4):
        claim = scene.machine().claim
        draining = claim is not None and claim.phase is Phase.DRAINING
        act(scene.actuator, observe(scene.cloud), [Return(0, "not empty")] if draining else [])
        scene.cloud.pass_time(20)
    assert scene.machine().state is HostState.MONITORED
    assert scene.machine().claim is None


@pytest.mark.parametrize("kind", [Kind.PARKED, Kind.BUSY])
def test_a_vm_of_any_state_counts(scene: Scene, kind: Kind) -> None:
    """A powered-off VM resumes on its host, past the scheduler."""
    scene.cloud.vms[9] = FakeVm(9, 0, kind)
    scene.off()
    assert not any(entry.startswith(("offline", "switch_bmc")) for entry in scene.log)


def test_wild_vms_count(scene: Scene) -> None:
    """OpenNebula does not know them; they run all the same."""
    scene.machine().wild = 1
    scene.off()
    assert "offline" not in scene.log


@pytest.mark.parametrize("fault", ["dead", "password", "other"])
def test_nothing_begins_with_a_bmc_that_does_not_answer_as_the_right_one(scene: Scene, fault: str) -> None:
    """Nobody could bring the host back, or another machine would go off."""
    scene.machine().fault = fault
    assert "not begun" in scene.off()
    assert scene.log == []


def test_nothing_is_done_when_the_intent_cannot_be_written(scene: Scene) -> None:
    """A leader that is cut off would act on a cloud that another one leads."""
    scene.cloud.term = 2
    with pytest.raises(Failed):
        scene.off()
    assert scene.log == ["write draining"]
    assert scene.machine().state is HostState.MONITORED


def test_another_servers_intent_binds_for_its_lease(scene: Scene) -> None:
    """Two front-ends would press the same button for different reasons."""
    scene.off()
    scene.cloud.leader, scene.cloud.term = 1, 2
    other = scene.server(1, 2)
    seen = len(scene.log)
    assert "binds" in act(other, observe(scene.cloud), [])[0]
    scene.cloud.pass_time(119)
    assert "binds" in act(other, observe(scene.cloud), [])[0]
    assert len(scene.log) == seen
    scene.cloud.pass_time(2)
    assert act(other, observe(scene.cloud), [])[0] == "off"


def test_a_server_that_slept_between_intent_and_deed_does_not_act(scene: Scene) -> None:
    """Its intent may have run out: another leader may have woken the host, and VMs run there."""
    scene.before["write stopping"] = lambda: scene.cloud.pass_time(90)
    scene.off()
    assert "switch_bmc off-soft" not in scene.log


def test_the_kill_switch_stops_between_two_steps(scene: Scene) -> None:
    """It would take effect only when all is over."""

    def stop() -> None:
        scene.actuator.world.halted = True  # type: ignore[attr-defined]

    scene.before["disable"] = stop
    with pytest.raises(Stopped):
        scene.off()
    assert scene.log == ["write draining", "disable"]


def test_an_operators_enable_while_draining_wins(scene: Scene) -> None:
    """He wants his host back."""
    scene.cloud.vms[9] = FakeVm(9, 0, Kind.RUNNING)
    scene.off()
    scene.machine().state = HostState.MONITORED
    assert "another user or program" in scene.off()
    claim = scene.machine().claim
    assert claim is not None
    assert claim.phase is Phase.LEFT


def test_order_of_waking(scene: Scene) -> None:
    """A host that takes VMs before its drivers are current breaks them."""
    scene.asleep()
    wake.wake(scene.actuator, 0, "needed")
    for _ in range(30):
        scene.cloud.pass_time(10)
        act(scene.actuator, observe(scene.cloud), [])
    assert scene.log == [
        "write waking",
        "write waking",
        "switch_bmc on",
        "disable",
        "write waking",
        "sync",
        "enable",
        "write",
    ]
    record = scene.machine().record
    assert (record.wakes, scene.machine().claim) == (1, None)
    assert 100 < record.boot_seconds < 200
    assert record.proven > START


def test_enabling_waits_for_monitoring_newer_than_the_wake(scene: Scene) -> None:
    """`enable` alone proves nothing: oned believes an old capacity."""
    scene.asleep()
    wake.wake(scene.actuator, 0, "needed")
    scene.cloud.pass_time(130)
    scene.machine().deaf = True
    for _ in range(3):
        act(scene.actuator, observe(scene.cloud), [])
        scene.cloud.pass_time(10)
    assert "disable" in scene.log
    assert "enable" not in scene.log


def test_a_failed_wake_is_tried_again_and_then_quarantined(scene: Scene) -> None:
    """A broken host would be counted on for ever, or its failure never be seen."""
    scene.asleep()
    scene.machine().fault = "lying"
    wake.wake(scene.actuator, 0, "needed")
    scene.cloud.pass_time(601)
    act(scene.actuator, observe(scene.cloud), [])
    assert [event.what for event in scene.events][-1] == "wake-failed"
    scene.cloud.pass_time(601)
    act(scene.actuator, observe(scene.cloud), [])
    assert scene.events[-1].what == "quarantine"
    assert scene.events[-1].alarming
    assert scene.machine().record.failed_wakes == 2
    assert "not powered off by onext" in wake.wake(scene.actuator, 0, "needed")


def test_a_host_without_a_bmc_sleeps_and_wakes(scene: Scene) -> None:
    """METHOD = suspend: silence after the order is all the proof there is, and it must come back."""
    scene.machine().sleeper = True
    assert scene.off() == "off"
    scene.cloud.pass_time(60)
    wake.wake(scene.actuator, 0, "needed")
    for _ in range(40):
        scene.cloud.pass_time(10)
        act(scene.actuator, observe(scene.cloud), [])
    assert scene.machine().claim is None
    assert scene.machine().state is HostState.MONITORED
    scene.machine().state = HostState.ERROR
    with pytest.raises(NotFenced, match="no BMC"):
        fence(scene.actuator, 0, 30, scene.cloud.pass_time)


def test_a_stranger_at_the_button_is_left_alone(scene: Scene) -> None:
    """We would fight with a person."""
    scene.asleep()
    act(scene.actuator, observe(scene.cloud), [Action(0, "x")])
    scene.machine().claim = replace(scene.machine().claim or Claim(Phase.OFF, 0), phase=Phase.LEFT)
    assert "not powered off by onext" in wake.wake(scene.actuator, 0, "needed")
    assert not any("switch" in entry for entry in scene.log)


def test_fence_needs_error_and_a_confirmed_off(scene: Scene) -> None:
    """High availability would start a VM twice."""
    with pytest.raises(NotFenced, match="only a host in ERROR"):
        fence(scene.actuator, 0, 30, scene.cloud.pass_time)
    scene.machine().state = HostState.ERROR
    scene.cloud.vms[9] = FakeVm(9, 0, Kind.RUNNING)
    scene.machine().fault = "lying"
    with pytest.raises(NotFenced, match="does not report that it is off"):
        fence(scene.actuator, 0, 30, scene.cloud.pass_time)
    scene.machine().fault = "other"
    with pytest.raises(NotFenced, match="it refused the order: it reports the UUID"):
        fence(scene.actuator, 0, 30, scene.cloud.pass_time)
    scene.machine().fault = ""
    scene.cloud.violations.clear()
    assert "is off" in fence(scene.actuator, 0, 30, scene.cloud.pass_time)
    assert scene.log.count("switch_bmc off-hard") == 3
    assert scene.log.index("write left") < scene.log.index("switch_bmc off-hard")


def test_what_the_worker_switches_off_is_nobodys_order(scene: Scene) -> None:
    """A host that is taken for one that a person switched off stays off for ever."""
    scene.asleep()
    assert scene.machine().claim is not None
    assert not scene.machine().claim.by_hand  # type: ignore[union-attr]


def test_a_fencing_that_is_not_confirmed_names_what_the_bmc_reports(scene: Scene) -> None:
    """Whoever is called at night has to know whether the machine runs."""
    scene.machine().state = HostState.ERROR
    scene.machine().fault = "lying"
    with pytest.raises(NotFenced, match="on"):
        fence(scene.actuator, 0, 10.0, scene.cloud.pass_time)


def test_one_reading_of_off_is_no_proof_for_a_fencing(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    """VMs would be started a second time beside a host that runs."""
    machine = scene.machine()
    machine.state, machine.boots_until = HostState.ERROR, float("inf")
    answers = itertools.chain([Answer(Bmc.OFF)], itertools.cycle([Answer(Bmc.ON), Answer(Bmc.OFF)]))
    monkeypatch.setattr(scene.actuator.world, "ask_bmc", lambda _: next(answers))
    with pytest.raises(NotFenced, match="does not"):
        fence(scene.actuator, 0, 20.0, scene.cloud.pass_time)


def test_what_a_sleep_saved_is_kept_when_it_ends(scene: Scene) -> None:
    """Reports and metrics would show that powering off saves nothing."""
    scene.asleep()
    scene.cloud.pass_time(7200.0)
    wake.wake(scene.actuator, 0, "needed")
    record = scene.machine().record
    assert 7200.0 <= record.off_seconds < 7400.0
    assert record.joules == pytest.approx(
        scene.actuator.curve(0).saved(record.off_seconds, record.boot_seconds), rel=0.01
    )
