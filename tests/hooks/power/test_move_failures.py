"""VMs that do not move are remembered; their host is released, and the others continue."""

from dataclasses import replace

import pytest

from hooks.power import move_failures
from hooks.power.decide import Return, decide
from hooks.power.move_failures import FIRST, LATE, LONGEST, MOST, Failure, MoveFailures
from hooks.power.round import act
from onext.hosts.actions import power_off
from onext.hosts.actions.power_off import MOST_TRIES
from onext.hosts.actions.world import MoveRefused
from onext.hosts.model import Claim, Cluster, Kind, Phase
from onext.hosts.placement.problem import Move
from onext.oned.objects import HostState
from tests.hooks.power.test_decide import AUTO, NOW, RIPE, cluster, host, vm
from tests.onext.hosts.actions.cloud_model import FakeVm
from tests.onext.hosts.actions.scene import Scene

DAY = 86_400.0


def test_C1_a_day_with_a_vm_that_cannot_move_costs_a_handful_of_calls() -> None:
    """It cost 1,399 refused calls and 12 drains in 24 hours."""
    moves, tried, now = MoveFailures(), 0, NOW
    while now < NOW + DAY:
        if not moves.fixed(7, now):
            tried += 1
            moves.note(7, "refused", now)
        now += 60.0
    assert tried <= 10
    assert moves.failed[7].pause == min(LONGEST, FIRST * 2 ** (tried - 1))


def test_C1_people_are_told_once() -> None:
    """An alarm a minute is read by nobody."""
    moves = MoveFailures()
    assert moves.note(7, "locked", NOW)
    assert not moves.note(7, "locked", NOW + 600)
    assert "not moved 2 times: locked" in moves.fixed(7, NOW + 601)


def test_C1_a_migration_that_was_taken_and_did_not_happen_counts() -> None:
    """A driver that fails leaves the VM running where it was: it would be moved each minute."""
    moves, here = MoveFailures(), cluster([host(0), host(1)], [vm(7, 0)])
    moves.began([(7, 0)], NOW)
    moving = replace(here, vms=(replace(here.vms[0], kind=Kind.BUSY),))
    assert moves.look(moving, NOW + 300) == {}
    assert moves.look(here, NOW + LATE - 1) == {}
    assert "still runs" in moves.look(here, NOW + 300)[7]
    assert "still runs" in moves.apply(here, NOW + 301).vms[0].fixed
    assert moves.apply(here, NOW + 300 + FIRST).vms[0].fixed == ""


def test_C1_each_migration_is_judged_whatever_other_vms_do() -> None:
    """A VM that is never moved would keep the failures of all after it from being noticed."""
    moves = MoveFailures()
    here = cluster([host(0), host(1)], [vm(6, 0), vm(7, 0), vm(8, 1), vm(9, 0)])
    moves.began([(7, 0), (9, 0)], NOW)
    assert set(moves.look(here, NOW + 300)) == {7, 9}


def test_C1_a_vm_that_moved_is_forgiven() -> None:
    """One bad day would pin it for ever."""
    moves, there = MoveFailures(), cluster([host(0), host(1)], [vm(7, 1)])
    moves.note(7, "no room", NOW)
    moves.began([(7, 0)], NOW + FIRST)
    moves.look(there, NOW + FIRST + 5)
    assert (moves.failed, moves.begun) == ({}, {})


def test_C1_the_memory_is_bounded_and_outlives_the_process() -> None:
    """A cloud of tenants who lock and delete VMs must not fill it; a restart must not begin anew."""
    moves = MoveFailures()
    for number in range(MOST + 50):
        moves.note(number, "x" * 500, NOW + number)
    moves.look(Cluster(100, "a", (), ()), NOW + MOST)
    assert len(moves.failed) == MOST
    assert 0 not in moves.failed
    moves.began([(1, 2)], NOW)
    assert MoveFailures.restored(moves.saved()) == moves  # type: ignore[arg-type]
    moves.look(Cluster(100, "a", (), ()), NOW + 30 * DAY)
    assert (moves.failed, moves.begun) == ({}, {})


def test_C1_the_host_of_a_vm_that_does_not_move_is_released() -> None:
    """It was DISABLED for 23 hours of the day."""
    draining = host(0, state=HostState.DISABLED, claim=Claim(Phase.DRAINING, NOW, asked=NOW))
    here = cluster([draining, host(1), host(2)], [vm(7, 0)])
    moves = MoveFailures()
    moves.note(7, "VM is locked", NOW)
    decision = decide(moves.apply(here, NOW), AUTO, NOW, RIPE)
    assert [type(action) for action in decision.actions if action.host == 0] == [Return]


@pytest.fixture
def crowded(monkeypatch: pytest.MonkeyPatch) -> Scene:
    """Give a host with three VMs, of which oned refuses to move the first."""
    scene = Scene()
    for number in (6, 7, 8):
        scene.cloud.vms[number] = FakeVm(number, 0, Kind.RUNNING)
    migrate = scene.actuator.world.migrate

    def refused(number: int, source: int, target: int) -> bool:
        if number == 6:
            raise MoveRefused("one.vm.migrate: VM is locked")
        return migrate(number, source, target)

    monkeypatch.setattr(scene.actuator.world, "migrate", refused)
    return scene


MOVES = (Move((6,), 0, 1, 1.0), Move((7,), 0, 1, 1.0), Move((8,), 0, 2, 1.0))


def test_C1_one_refusal_cancels_no_other_move_and_ends_the_order(crowded: Scene) -> None:
    """`power off --evacuate` sent 2,401 calls in two hours; the round's other moves were not begun."""
    power_off.power_off(crowded.actuator, 0, MOVES, "by hand")
    assert {number: one.host for number, one in crowded.cloud.vms.items()} == {6: 0, 7: 1, 8: 2}
    assert crowded.actuator.refused == {6: "one.vm.migrate: VM is locked"}
    crowded.pass_rounds(3)
    assert (crowded.phase(), crowded.machine().state) == (None, HostState.MONITORED)
    assert crowded.told("return") == ["VM 6 cannot move: one.vm.migrate: VM is locked"]


def test_C1_an_order_begins_a_migration_that_never_happens_only_a_few_times(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Somebody who waits for `power off --evacuate` would wait for two hours, and oned with him."""
    scene, calls = Scene(), list[tuple[int, ...]]()

    def begun(*move: int) -> bool:
        calls.append(move)
        return True

    scene.cloud.vms[6] = FakeVm(6, 0, Kind.RUNNING)
    monkeypatch.setattr(scene.actuator.world, "migrate", begun)
    for _ in range(20):
        power_off.power_off(scene.actuator, 0, MOVES[:1], "by hand")
        act(scene.actuator, Cluster(100, "a", (), ()), ())
    assert len(calls) == MOST_TRIES
    scene.pass_rounds(3)
    assert scene.machine().state is HostState.MONITORED


@pytest.mark.parametrize(
    ("count", "pause"),
    [(1, 300.0), (2, 600.0), (3, 1200.0), (9, 76_800.0), (10, 86_400.0), (10_000, 86_400.0)],
)
def test_C1_each_failure_doubles_the_pause_up_to_a_day(count: int, pause: float) -> None:
    """A VM that fails each time would be tried every five minutes, or after one failure only tomorrow."""
    moves = MoveFailures({7: Failure(count, NOW, "locked")})
    assert moves.failed[7].pause == pause
    assert moves.fixed(7, NOW + pause - 1)
    assert moves.fixed(7, NOW + pause) == ""
    assert moves.fixed(7, NOW) == f"not moved {count} times: locked; tried again in {pause / 60:.0f} minutes"
    assert moves.fixed(7, NOW - 1) == "", "a clock that was set back fixes no VM"


def test_C1_reasons_are_short_and_the_last_one_counts() -> None:
    """An error of a driver, which may be long, would fill the state and each plan."""
    moves = MoveFailures()
    moves.note(7, "a", NOW)
    moves.note(7, "x" * 500, NOW + 1)
    assert moves.failed[7] == Failure(2, NOW + 1, "x" * 200)


@pytest.mark.parametrize(
    ("change", "later", "found"),
    [
        ({}, LATE - 1, False),
        ({}, LATE, True),
        ({}, 0.0, False),
        ({}, -1.0, True),
        ({"kind": Kind.PARKED}, LATE, False),
        ({"host": 1}, LATE, False),
    ],
)
def test_C1_when_a_migration_that_was_begun_has_failed(
    change: dict[str, object], later: float, found: bool
) -> None:
    """A VM on its way would be counted as one that cannot move, or a failure never be seen."""
    moves = MoveFailures()
    moves.began([(7, 0)], NOW)
    here = cluster([host(0), host(1)], [vm(7, 0, **change), vm(8, 0)])
    assert list(moves.look(here, NOW + later)) == ([7] if found else [])
    assert list(moves.failed) == ([7] if found else [])
    assert moves.look(here, NOW + later) == {}, "people are told once"


def test_C1_a_vm_of_host_0_is_remembered_and_one_that_was_not_begun_is_not() -> None:
    """Host 0 is a host like others."""
    moves = MoveFailures()
    moves.began([(7, 1)], NOW)
    here = cluster([host(0), host(1)], [vm(7, 1), vm(8, 0)])
    assert list(moves.look(here, NOW + 300)) == [7]


def test_C1_what_is_a_week_old_is_forgotten() -> None:
    """VMs that are long gone would stay in the state for ever."""
    moves = MoveFailures()
    moves.note(7, "locked", NOW)
    moves.began([(8, 0)], NOW)
    nobody = Cluster(100, "a", (), ())
    moves.look(nobody, NOW + 7 * DAY - 1)
    assert (list(moves.failed), list(moves.begun)) == ([7], [8])
    moves.look(nobody, NOW + 7 * DAY)
    assert (moves.failed, moves.begun) == ({}, {})
    moves.note(7, "locked", NOW + 7 * DAY)
    moves.began([(8, 0)], NOW + 7 * DAY)
    moves.look(nobody, NOW)
    assert (moves.failed, moves.begun) == ({}, {}), "nor what a clock of the future wrote"


def test_C1_a_vm_with_a_reason_of_its_own_keeps_it() -> None:
    """`onext power plan` would name a failure of last week for a VM with a PCI device."""
    moves = MoveFailures()
    moves.note(7, "locked", NOW)
    moves.note(8, "locked", NOW)
    here = moves.apply(cluster([host(0)], [vm(7, 0, fixed="it has a PCI device"), vm(8, 0), vm(9, 0)]), NOW)
    assert [one.fixed[:12] for one in here.vms] == ["it has a PCI", "not moved 1 ", ""]


def test_C1_of_too_many_the_oldest_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    """The newest failures are those that would be repeated in the next round."""
    monkeypatch.setattr(move_failures, "MOST", 2)
    moves = MoveFailures()
    for number in (3, 1, 2):
        moves.note(number, "locked", NOW + number)
    moves.look(Cluster(100, "a", (), ()), NOW + 3)
    assert sorted(moves.failed) == [2, 3]
    moves.look(Cluster(100, "a", (), ()), NOW + 3)
    assert sorted(moves.failed) == [2, 3]
