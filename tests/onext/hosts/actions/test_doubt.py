"""What nobody can know for sure: BMCs that are slow, lie or falter, clocks that jump, people who interfere."""

from dataclasses import replace

import pytest

from hooks.power.decide import PowerOff, Return, Wake
from onext.hosts.actions import wake
from onext.hosts.actions.actuator import Actuator, Leases, Limits
from onext.hosts.actions.fence import NotFenced, fence
from onext.hosts.actions.world import Answer, Failed
from onext.hosts.model import Bmc, Kind, Phase
from onext.oned.objects import HostState
from tests.onext.hosts.actions.cloud_model import FakeVm
from tests.onext.hosts.actions.scene import Scene


def test_a_shutdown_that_may_still_land_keeps_the_door_shut(scene: Scene) -> None:
    """A BMC that takes the order and answers too late: VMs would be let in, and go off with the host."""
    scene.machine().fault = "slow"
    scene.off()  # the first question is not answered in time either
    scene.machine().fault = ""
    scene.before["write stopping"] = lambda: setattr(scene.machine(), "fault", "slow")
    scene.off()
    assert scene.machine().stops_at < float("inf"), "the order was taken"
    assert scene.phase() is Phase.RETURNING
    scene.machine().fault = ""
    scene.pass_rounds(2)
    assert scene.machine().state is HostState.OFFLINE
    scene.pass_rounds(30)
    assert scene.cloud.violations == []
    assert (scene.phase(), scene.machine().state) == (None, HostState.MONITORED)


def test_a_host_that_ignores_its_order_is_given_back_in_the_end(scene: Scene) -> None:
    """It would stay shut for ever for a shutdown that never comes, or be tried again each night."""
    scene.machine().fault = "lying"
    scene.off()
    scene.pass_rounds(80)
    assert (scene.phase(), scene.machine().state) == (None, HostState.MONITORED)
    assert "takes the power-off" in scene.told("alarm")[0]
    assert scene.machine().record.proven == 0.0


@pytest.mark.parametrize("fault", ["says-off", "falters"])
def test_off_is_believed_twice_and_of_a_silent_host_only(scene: Scene, fault: str) -> None:
    """A running host would count as asleep, and another machine's BMC as its own."""
    scene.off()
    scene.machine().stops_at = float("inf")  # it never shuts down
    scene.machine().fault = fault
    for _ in range(6):
        scene.pass_rounds(1)
        assert scene.phase() is Phase.STOPPING
    scene.machine().fault = ""
    scene.pass_rounds(80)
    assert scene.cloud.violations == []
    assert scene.phase() in (None, Phase.OFF)
    assert scene.machine().on is (scene.phase() is None)


def test_a_host_that_was_never_off_proves_nothing_by_being_on(scene: Scene) -> None:
    """A BMC of another machine that says `off` would prove that this one wakes."""
    scene.machine().record = replace(scene.machine().record, proven=0.0)
    scene.off()
    scene.machine().stops_at = float("inf")
    scene.machine().fault = "says-off"
    scene.pass_rounds(80)
    assert scene.machine().state is HostState.MONITORED
    assert scene.machine().record.proven == 0.0


def test_a_bmc_that_dies_while_its_host_shuts_down_is_told(scene: Scene) -> None:
    """The host would be in the middle for ever, and nobody know."""
    scene.off()
    scene.machine().fault = "dead"
    scene.pass_rounds(40)
    assert scene.phase() is Phase.QUARANTINED
    assert "fell silent" in scene.told("quarantine")[0]


def test_a_bmc_that_dies_of_a_host_that_runs_brings_it_back(scene: Scene) -> None:
    """A host that takes VMs well would be lost with its BMC."""
    scene.off()
    scene.machine().stops_at = float("inf")
    scene.machine().fault = "dead"
    scene.pass_rounds(70)
    assert (scene.phase(), scene.machine().state) == (None, HostState.MONITORED)


def test_hard_off_is_not_pressed_on_a_host_that_is_not_empty_any_more(scene: Scene) -> None:
    """The soft order is polite to a VM that nobody saw come; the hard one kills it."""
    scene.machine().fault = "stuck"
    scene.off()
    scene.machine().wild = 1
    scene.pass_rounds(60)
    assert "switch_bmc off-hard" not in scene.log
    assert (scene.phase(), scene.machine().state) == (None, HostState.MONITORED)


def test_min_hosts_is_counted_again_at_the_button(scene: Scene) -> None:
    """An operator takes two hosts out while a third one is emptied: nothing would be left."""
    scene.actuator.limits = replace(scene.actuator.limits, min_hosts=2)

    def taken_out() -> None:
        scene.machine(1).state = HostState.DISABLED

    scene.before["write stopping"] = taken_out
    scene.off()
    assert "switch_bmc off-soft" not in scene.log
    scene.pass_rounds(8)
    assert scene.machine().state is HostState.MONITORED


def test_a_decision_grows_old(scene: Scene) -> None:
    """A worker that was stopped for an hour would act on the load of an hour ago."""
    scene.actuator.decided = scene.cloud.monotonic
    scene.cloud.pass_time(61)
    assert "too old" in scene.act(PowerOff(0, "empty"))[0]
    assert scene.log == []
    scene.actuator.decided = scene.cloud.monotonic
    assert "asked" in scene.act(PowerOff(0, "empty"))[0]


@pytest.mark.parametrize("jump", [7200.0, -7200.0])
def test_a_clock_that_jumps_shortens_no_shutdown(scene: Scene, jump: float) -> None:
    """The file systems of a host that was shutting down would be cut off."""
    scene.machine().fault = "stuck"
    scene.off()
    scene.cloud.now += jump
    scene.pass_rounds(5)
    assert "switch_bmc off-hard" not in scene.log
    scene.pass_rounds(20)
    assert "switch_bmc off-hard" in scene.log


@pytest.mark.parametrize("jump", [7200.0, -7200.0])
def test_a_clock_that_jumps_fails_no_wake(scene: Scene, jump: float) -> None:
    """A good host would be quarantined because somebody set the time."""
    scene.asleep()
    wake.wake(scene.actuator, 0, "needed")
    scene.cloud.now += jump
    scene.pass_rounds(40)
    assert (scene.phase(), scene.machine().state) == (None, HostState.MONITORED)
    assert scene.told("wake-failed") == []


@pytest.mark.parametrize("jump", [0.0, -7200.0])
def test_a_worker_that_was_away_quarantines_no_host_that_is_well(scene: Scene, jump: float) -> None:
    """Each host that was on its way back when the worker stopped would wait for a person."""
    scene.cloud.vms[9] = FakeVm(9, 0, Kind.RUNNING)
    scene.before["offline"] = lambda: scene.cloud.vms.update({9: FakeVm(9, 0, Kind.RUNNING)})
    scene.cloud.vms.clear()
    scene.off()
    assert scene.phase() is Phase.RETURNING
    scene.cloud.now += jump
    scene.cloud.monotonic += 7200.0
    actuator = scene.server(0, 1)
    scene.pass_rounds(8, actuator=actuator)
    assert scene.machine().state is HostState.MONITORED
    assert scene.told("quarantine") == []


@pytest.mark.parametrize("begun", ["waking", "returning"])
def test_an_operators_offline_on_the_way_back_is_his(scene: Scene, begun: str) -> None:
    """He puts a host aside for repair, and we would let VMs in."""
    scene.asleep()
    wake.wake(scene.actuator, 0, "needed")
    if begun == "returning":
        scene = Scene()
        scene.before["offline"] = lambda: scene.cloud.vms.update({9: FakeVm(9, 0, Kind.RUNNING)})
        scene.machine().deaf = True
        scene.off()
    while scene.machine().state is HostState.OFFLINE:
        scene.pass_rounds(1)
    scene.machine().state, scene.machine().known, scene.machine().operators = HostState.OFFLINE, False, "new"
    scene.pass_rounds(20)
    assert scene.cloud.violations == []
    assert (scene.phase(), scene.machine().state) == (Phase.LEFT, HostState.OFFLINE)


def test_a_sleeping_host_that_somebody_took_is_not_woken(scene: Scene) -> None:
    """His hands may be in it: between the decision and the deed he disabled it, or pressed the button."""
    scene.asleep()
    scene.machine().state = HostState.DISABLED
    assert "DISABLED while it slept" in scene.act(Wake(0, "needed"))[0]
    scene = Scene().asleep()
    scene.machine().on = True
    assert "another user or program switched it on" in scene.act(Wake(0, "needed"))[0]
    assert not any(entry.startswith("switch_bmc") for entry in scene.log)
    assert scene.phase() is Phase.LEFT


def test_a_sleeping_host_that_is_taken_while_its_bmc_is_asked_is_not_woken(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An operator who takes it in the seconds that its BMC needs would have it switched on under his hands."""
    scene.asleep()
    ask = scene.actuator.world.ask_bmc

    def slowly(host: int) -> Answer:
        scene.machine().state = HostState.DISABLED
        return ask(host)

    monkeypatch.setattr(scene.actuator.world, "ask_bmc", slowly)
    assert "DISABLED while it slept" in scene.act(Wake(0, "needed"))[0]
    assert not any(entry.startswith("switch_bmc") for entry in scene.log)


def test_a_host_put_offline_while_its_bmc_was_asked_is_left(scene: Scene) -> None:
    """A BMC takes seconds to answer: what an operator did meanwhile would be undone."""

    def aside() -> None:
        scene.machine().state, scene.machine().operators = HostState.OFFLINE, "new"

    scene.before["write draining"] = aside
    assert "before it was emptied" in scene.off()
    assert scene.cloud.violations == []
    assert "disable" not in scene.log


def test_what_a_person_ordered_is_carried_to_its_end_without_him(scene: Scene) -> None:
    """His terminal closes in the middle of `onext power off`: the host would be disabled for ever."""
    scene.cloud.vms[9] = FakeVm(9, 0, Kind.RUNNING)
    scene.actuator.mark_by_hand = True
    scene.off()
    assert scene.phase() is Phase.DRAINING
    worker = scene.server(0, 1)
    scene.pass_rounds(3, actuator=worker)
    assert scene.phase() is Phase.DRAINING
    scene.cloud.vms[9].host = 1
    scene.pass_rounds(8, actuator=worker)
    assert scene.phase() is Phase.OFF
    claim = scene.machine().claim
    assert claim
    assert claim.by_hand


def test_a_drain_by_hand_that_never_ends_is_given_back(scene: Scene) -> None:
    """A VM that does not leave would keep its host disabled for ever."""
    scene.cloud.vms[9] = FakeVm(9, 0, Kind.PARKED)
    scene.actuator.mark_by_hand = True
    scene.off()
    scene.pass_rounds(100, 100.0)
    assert (scene.phase(), scene.machine().state) == (None, HostState.MONITORED)


@pytest.mark.parametrize(
    "moment",
    ["write draining", "disable", "write closing", "offline", "write stopping", "switch_bmc off-soft"],
)
def test_another_front_end_goes_on_from_every_step(scene: Scene, moment: str) -> None:
    """A host in the middle would be lost with the front-end that died."""

    def dies() -> None:
        raise Failed("the front-end is gone")

    scene.before[moment] = dies
    with pytest.raises(Failed):
        scene.off()
    other = scene.server(1, 2)
    scene.cloud.leader, scene.cloud.term = 1, 2
    scene.cloud.pass_time(60)
    for _ in range(40):
        scene.cloud.pass_time(10)
        begun = scene.phase() in (None, Phase.DRAINING, Phase.CLOSING)
        scene.act(*[PowerOff(0, "empty")] if begun else [], actuator=other)
    assert scene.cloud.violations == []
    assert scene.phase() is Phase.OFF
    scene.act(Wake(0, "needed"), actuator=other)
    scene.pass_rounds(30, actuator=other)
    assert (scene.phase(), scene.machine().state) == (None, HostState.MONITORED)


def test_a_vm_that_came_before_a_dead_front_end_set_offline(scene: Scene) -> None:
    """DISABLED and claimed, the host would pass for somebody else's, and be lost for ever."""

    def dies() -> None:
        raise Failed("the front-end is gone")

    scene.before["offline"] = dies
    with pytest.raises(Failed):
        scene.off()
    scene.cloud.vms[9] = FakeVm(9, 0, Kind.RUNNING)  # DISABLED is no barrier for a deploy by hand
    scene.cloud.leader, scene.cloud.term = 1, 2
    scene.cloud.pass_time(200)
    other = scene.server(1, 2)
    scene.act(PowerOff(0, "empty"), actuator=other)
    scene.cloud.pass_time(200)
    scene.act(PowerOff(0, "empty"), actuator=other)
    scene.pass_rounds(30, actuator=other)
    assert scene.cloud.violations == []
    assert (scene.phase(), scene.machine().state) == (None, HostState.MONITORED)


def test_an_operators_offline_in_a_drain_that_is_given_up_is_his(scene: Scene) -> None:
    """A front-end that died while it disabled the host leaves a claim; its successor would open his door."""
    scene.before["disable"] = lambda: setattr(scene.cloud, "mute", True)  # done, and nobody heard of it
    with pytest.raises(Failed):
        scene.off()
    scene.cloud.leader, scene.cloud.term = 1, 2
    scene.machine().state, scene.machine().operators = HostState.OFFLINE, "new"
    scene.cloud.pass_time(200)
    other = scene.server(1, 2)
    scene.act(Return(0, "needed"), actuator=other)
    scene.cloud.pass_time(200)
    scene.act(Return(0, "needed"), actuator=other)
    assert scene.cloud.violations == []
    assert (scene.phase(), scene.machine().state) == (Phase.LEFT, HostState.OFFLINE)


def test_a_new_leader_wakes_what_sleeps_at_once(scene: Scene) -> None:
    """A claim of a host that is off binds nobody: VMs would wait for a lease that nobody needs."""
    scene.asleep()
    scene.cloud.leader, scene.cloud.term = 1, 2
    assert "asked" in scene.act(Wake(0, "needed"), actuator=scene.server(1, 2))[0]
    assert scene.cloud.violations == []


def test_an_answer_that_came_too_late_is_no_second_deed(scene: Scene) -> None:
    """Oned did it, and the call timed out: doing it again must be harmless, and nothing lost."""
    for step in ("write draining", "disable", "write closing", "offline", "write stopping"):
        scene = Scene()
        scene.before[step] = lambda cloud=scene.cloud: setattr(cloud, "mute", True)  # type: ignore[misc]
        with pytest.raises(Failed):
            scene.off()
        for _ in range(60):
            begun = scene.phase() in (Phase.DRAINING, Phase.CLOSING)
            scene.act(*[Return(0, "needed")] if begun else [])
            scene.cloud.pass_time(10)
        assert scene.cloud.violations == []
        assert scene.phase() in (None, Phase.OFF)
        assert scene.machine().state is (HostState.OFFLINE if scene.phase() else HostState.MONITORED)


def test_a_fence_is_not_true_while_the_host_answers(scene: Scene) -> None:
    """With another machine's BMC high availability would start each VM a second time."""
    scene.machine().state = HostState.ERROR
    scene.machine().fault = "says-off"
    with pytest.raises(NotFenced, match="it answers although its BMC reports off"):
        fence(scene.actuator, 0, 30, scene.cloud.pass_time)


def test_a_slow_fence_is_no_success(scene: Scene) -> None:
    """The order may have been taken, and nobody knows."""
    scene.machine().state, scene.machine().fault = HostState.ERROR, "slow"
    with pytest.raises(NotFenced, match="no answer within"):
        fence(scene.actuator, 0, 30, scene.cloud.pass_time)


def test_a_fence_that_is_confirmed_at_the_last_moment_counts(scene: Scene) -> None:
    """The host is off: reporting a failure would leave its VMs down until a person comes."""
    scene.machine().state = HostState.ERROR
    pauses: list[float] = []

    def pause(seconds: float) -> None:
        pauses.append(seconds)
        scene.cloud.pass_time(100.0 if len(pauses) == paused_at else 1.0)  # what runs onext was paused

    paused_at = 2
    assert fence(scene.actuator, 0, 30.0, pause).endswith(" is off")
    assert len(pauses) == 3, "one reading on, and two off"
    assert not scene.machine().on


def test_leases_count_by_our_own_clock() -> None:
    """The other server's clock is not ours: its intent would run out at once, or never."""
    scene = Scene()
    scene.off()
    claim = scene.machine().claim
    assert claim
    leases, other = Leases(), Actuator(scene.server(1, 2).world, Limits())
    far = replace(claim, since=claim.since + 1e9)
    assert leases.bind(0, far, other.world)
    scene.cloud.monotonic += 119.0
    assert leases.bind(0, far, other.world)
    scene.cloud.monotonic += 2.0
    assert not leases.bind(0, far, other.world)


@pytest.mark.parametrize(
    ("state", "answers_at_all", "off"),
    [
        (Bmc.OFF, True, True), (Bmc.OFF, False, True), (Bmc.SILENT, False, True), (Bmc.SILENT, True, False),
        (Bmc.ON, True, False), (Bmc.ON, False, False), (Bmc.NONE, True, False), (Bmc.NONE, False, False),
    ],
)  # fmt: skip
def test_silence_means_off_only_where_no_bmc_could_report_it(
    scene: Scene, monkeypatch: pytest.MonkeyPatch, state: Bmc, answers_at_all: bool, off: bool
) -> None:
    """A host with a BMC that is silent may run VMs; one that is woken by a packet has nothing else to show."""
    monkeypatch.setattr(scene.actuator.world, "proves_off", lambda _: answers_at_all)
    assert scene.actuator.means_off(scene.actuator.world.see(0), Answer(state)) is off
