"""What is checked once more at the moment of an action, and what a round survives."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from hooks.availability import act, evidence, steps
from hooks.availability.evidence import Evidence, Finding, Source, Verdict
from hooks.availability.model import Incident, Phase, Stage
from hooks.availability.vm_states import Course, dispose
from hooks.availability.world import Failed
from onext.oned.objects import HostState
from tests.hooks.availability.happenings import FrontEnd, happen
from tests.hooks.availability.simulation import POWEROFF, RUNNING, UNKNOWN, Server, SimulatedWorld, build


def front(hosts: int = 4, *, has_bmc: bool = True) -> FrontEnd:
    """Return a quiet cloud with a VM on host 0."""
    cloud = build(hosts, {1: 0}, has_bmc=has_bmc)
    return FrontEnd(cloud, Server(cloud))


def play(one: FrontEnd, seconds: float, *events: str) -> None:
    """Let events happen to host 0, then time pass."""
    for what in events:
        happen(one, what, 0)
    for _ in range(int(seconds / 10)):
        one.cloud.advance(10.0)
        one.server.round()


def orders(one: FrontEnd) -> int:
    """Return how often a host was ordered off."""
    return sum("ordered off" in line for line in one.cloud.history)


def fencing(one: FrontEnd) -> act.Executor:
    """Bring an incident to the moment before the order; return who would give it."""
    play(one, 80, "hang")
    record = replace(one.cloud.records[0], phase=Phase.FENCING, server=0, term=1)
    executor = act.Executor(SimulatedWorld(one.cloud), one.cloud.policy)
    executor.run([steps.Write(record)])
    return executor


def test_a_leader_that_was_paused_after_its_write_gives_no_order() -> None:
    """While it was paused another leader may have found the host alive and put VMs on it."""
    late = front()
    executor = fencing(late)
    late.cloud.clock += 31
    executor.run([steps.Fence(0)])
    assert orders(late) == 0
    latest = front()
    executor = fencing(latest)
    latest.cloud.clock += 30
    executor.run([steps.Fence(0)])
    assert orders(latest) == 1
    early = front()
    fencing(early).run([steps.Fence(0)])
    assert orders(early) == 1


def test_an_order_without_a_write_of_this_round_is_refused() -> None:
    """A record of an earlier round is no proof that this server still leads."""
    one = front()
    fencing(one)
    act.Executor(SimulatedWorld(one.cloud), one.cloud.policy).run([steps.Fence(0)])
    assert orders(one) == 0


def test_a_pause_in_the_middle_of_a_round_stops_the_order() -> None:
    """An administrator who pauses the cluster has to be sure that nothing follows."""
    one = front()
    executor = fencing(one)
    one.cloud.paused = True
    executor.run([steps.Fence(0)])
    assert orders(one) == 0


def test_a_host_whose_controller_reports_no_power_is_not_ordered_off() -> None:
    """An order that cannot be judged by what is read afterwards may hit another machine."""
    one = front()
    executor = fencing(one)
    one.cloud.machines[0].bmc = "silent"
    executor.run([steps.Fence(0)])
    assert orders(one) == 0


def test_a_confirmation_ends_when_the_host_shows_life() -> None:
    """A confirmed host that was switched on again, and is cut off later, would have its VMs started twice."""
    one = front(has_bmc=False)
    one.cloud.machines[1].capacity = one.cloud.machines[2].capacity = one.cloud.machines[3].capacity = 0
    play(one, 300, "die")
    play(one, 60, "confirm")
    machine = one.cloud.machines[0]
    machine.on, machine.network, machine.boot = True, False, 2  # on again, reached by its peers only
    machine.running.add(1)
    play(one, 60)
    for other in (1, 2, 3):
        one.cloud.machines[other].capacity = 4
    machine.peers = machine.storage = False
    play(one, 600)
    assert one.cloud.vms[1].host == 0
    assert any("confirmation was withdrawn" in text for text in one.cloud.alarms)


def test_a_person_does_not_outvote_a_controller_that_reports_power() -> None:
    """A person looked at the wrong rack; the machine that runs the VMs has power."""
    items = [
        Evidence(Source.PERSON, Finding.DEAD),
        Evidence(Source.BMC, Finding.POWERED, readings=2),
    ]
    assert evidence.judge(items).verdict is Verdict.UNKNOWN
    assert evidence.judge(items[:1]).verdict is Verdict.DEAD


def test_another_entry_in_bmc_yaml_begins_the_confirmation_anew() -> None:
    """The new entry may be another machine's, which is off: that must not release this host's VMs at once."""
    one = front()
    play(one, 80, "hang")
    machine, host = one.cloud.machines[0], one.cloud.hosts[0]
    machine.bmc = "silent"
    play(one, 60)
    before = one.cloud.records[0].phase
    host.bmc = "another entry"
    play(one, 10)
    assert (before, one.cloud.records[0].phase) == (Phase.HELD, Phase.CONFIRM)
    assert one.cloud.records[0].bmc == "another entry"


def test_a_renamed_host_is_held() -> None:
    """Under the new name another machine may answer, or none although the host lives."""
    one = front()
    play(one, 60, "hang")
    one.cloud.records[0] = replace(one.cloud.records[0], name="its old name")
    play(one, 600)
    assert orders(one) == 0
    assert any("renamed" in text for text in one.cloud.alarms)


def test_a_vm_that_its_owner_unlocks_is_locked_again() -> None:
    """OpenNebula's planners start an unlocked UNKNOWN VM on another host without any proof."""
    one = front(has_bmc=False)
    play(one, 60, "cut storage")
    one.cloud.vms[1] = replace(one.cloud.vms[1], lock=0)
    play(one, 900)
    assert one.cloud.vms[1].lock == 3
    assert one.cloud.vms[1].host == 0


def test_a_vm_that_monitoring_powered_off_runs_again_elsewhere() -> None:
    """one.vm.migrate leaves a POWEROFF VM in POWEROFF: without a resume it would stay down."""
    one = front()
    one.cloud.vms[1] = replace(one.cloud.vms[1], state=POWEROFF, lcm=0, parked_by="monitoring")
    play(one, 600, "hang")
    found = one.cloud.vms[1]
    assert found.host != 0
    assert found.lcm == RUNNING


def test_the_resume_elsewhere_needs_the_proof_again() -> None:
    """Between the move and the resume somebody may have switched the dead host on."""
    one = front()
    executor = fencing(one)
    record = one.cloud.records[0]
    entry = replace(record.entries[0], stage=Stage.STARTED, target=1)
    executor.run([steps.Write(replace(record, phase=Phase.EVACUATING, entries=(entry,)))])
    one.cloud.vms[1] = replace(one.cloud.vms[1], host=1, state=POWEROFF, lcm=0)
    executor.run([steps.Boot(0, 1, 1)])
    assert one.cloud.vms[1].state == POWEROFF
    one.cloud.machines[0].power_off()
    executor.run([steps.Boot(0, 1, 1)])
    assert one.cloud.vms[1].state != POWEROFF


def test_a_start_that_oned_refuses_leaves_the_vm_locked() -> None:
    """Unlocked, it would be started by a planner that asks for no proof in the next round."""
    one = front()
    executor = fencing(one)
    one.cloud.machines[0].power_off()
    one.cloud.vms[1] = replace(one.cloud.vms[1], lcm=16, lock=3)
    record = one.cloud.records[0]
    entry = replace(record.entries[0], stage=Stage.STARTED, target=1)
    executor.run([steps.Write(replace(record, phase=Phase.EVACUATING, entries=(entry,)))])

    def refuse(*_: object) -> None:
        raise Failed("oned: no capacity")

    executor.world.start = refuse  # type: ignore[method-assign,assignment]
    executor.run(
        [steps.Start(0, 1, 1, dispose(one.cloud.vms[1], 0, one.cloud.policy.action, owners=False).course)]
    )
    assert one.cloud.vms[1].lock == 3


def test_an_unexpected_error_of_one_host_leaves_the_others_their_turn() -> None:
    """One invalid object would stop the evacuation of a whole cluster."""
    one = front()

    class Broken(SimulatedWorld):
        def disable(self, host: int) -> None:
            if host == 0:
                raise KeyError(host)
            super().disable(host)

    outcome = act.Executor(Broken(one.cloud), one.cloud.policy).run([steps.Disable(0), steps.Disable(1)])
    assert "KeyError" in outcome[0]
    assert one.cloud.hosts[1].state is HostState.DISABLED


def test_a_host_is_claimed_while_its_incident_is_open() -> None:
    """Power management would wake or switch a host that is being fenced."""
    one = front()
    play(one, 60, "hang")
    assert one.cloud.hosts[0].held
    play(one, 400, "return")
    assert not one.cloud.records
    assert not one.cloud.hosts[0].held


def test_a_held_incident_is_not_written_in_each_round() -> None:
    """Each write is one of the whole zone; a night of holding would be thousands of them."""
    one = front()
    one.cloud.policy = replace(one.cloud.policy, quiet=7200.0)
    one.cloud.fenced_at = one.cloud.clock  # another host: its age is in the reason, and grows
    play(one, 300, "hang")
    before = one.cloud.records[0]
    assert before.phase is Phase.HELD
    assert "s ago" in before.reason
    play(one, 300)
    assert one.cloud.records[0] == before


def test_a_silent_host_in_maintenance_is_neither_fenced_nor_left_to_other_planners() -> None:
    """OpenNebula's planners start UNKNOWN VMs elsewhere: a host that only hangs would then write to their disks too."""
    one = front()
    play(one, 900, "maintain", "hang")
    one.cloud.check()
    assert orders(one) == 0
    assert 1 in one.cloud.machines[0].running
    assert one.cloud.records[0].phase is Phase.HELD
    assert "maintenance" in one.cloud.records[0].reason
    play(one, 300, "end maintenance")
    assert one.cloud.vms[1].host != 0


@pytest.mark.parametrize(("allowed", "given"), [(False, 0), (True, 1)])
def test_a_host_that_turns_out_isolated_is_ordered_off_only_where_that_is_allowed(
    allowed: bool, given: int
) -> None:
    """Its VMs still run and write: cutting their power is the administrator's choice, also at the last moment."""
    one = front()
    executor = fencing(one)
    executor.policy = replace(executor.policy, fence_isolated=allowed)
    one.cloud.machines[0].hung = False
    happen(one, "cut all", 0)
    executor.run([steps.Fence(0)])
    assert orders(one) == given


@pytest.mark.parametrize(
    ("change", "moved"),
    [
        ({}, True),
        ({"lock": 3}, False),
        ({"lcm": UNKNOWN}, False),
        ({"state": POWEROFF}, False),
        ({"host": 0}, False),
    ],
)
def test_only_a_vm_that_runs_elsewhere_unlocked_is_moved_back(change: dict[str, Any], moved: bool) -> None:
    """A VM whose owner locked it, or that is in another state by now, must be left as it is."""
    one = front()
    play(one, 900, "die")
    assert one.cloud.vms[1].host != 0
    happen(one, "return", 0)
    record = replace(one.cloud.records[0], phase=Phase.RETURNING, server=0, term=1)
    executor = act.Executor(SimulatedWorld(one.cloud), one.cloud.policy)
    executor.run([steps.Write(record)])
    one.cloud.vms[1] = replace(one.cloud.vms[1], **change)
    before = list(one.cloud.history)
    executor.run([steps.MoveBack(0, 1)])
    told = one.cloud.history[len(before) :]
    assert any("back" in line or "moves" in line for line in told) is moved, told


@pytest.mark.parametrize(("paused", "started"), [(0, True), (30, True), (31, False)])
@pytest.mark.parametrize("powered_off", [False, True])
def test_a_server_that_was_paused_after_the_proof_starts_nothing(
    paused: int, started: bool, powered_off: bool
) -> None:
    """During the pause a person may have switched the host on without its network: the VM would run twice."""
    one = front()
    executor = fencing(one)
    one.cloud.machines[0].power_off()
    state = {"host": 1, "state": POWEROFF, "lcm": 0} if powered_off else {"lcm": UNKNOWN, "lock": 3}
    one.cloud.vms[1] = replace(one.cloud.vms[1], **state)  # type: ignore[arg-type]
    record = one.cloud.records[0]
    entry = replace(record.entries[0], stage=Stage.STARTED, target=1)
    executor.run([steps.Write(replace(record, phase=Phase.EVACUATING, entries=(entry,)))])
    look = executor.world.vm

    def late(vm: int) -> object:
        one.cloud.clock += paused
        return look(vm)

    executor.world.vm = late  # type: ignore[method-assign,assignment]
    executor.run([steps.Boot(0, 1, 1) if powered_off else steps.Start(0, 1, 1, Course.MIGRATE)])
    found = one.cloud.vms[1]
    assert (found.host == 1 and found.state != POWEROFF) is started
    assert started or powered_off or found.lock == 3, "unlocked, a planner would start it"


def returning(one: FrontEnd) -> Incident:
    """Bring an incident to the moment before it is closed."""
    play(one, 80, "hang")
    one.cloud.machines[0].power_off()
    happen(one, "return", 0)
    one.cloud.advance(10.0)
    record = replace(one.cloud.records[0], phase=Phase.RETURNING, server=0, term=1)
    one.cloud.records[0] = record
    return record


CLOSING = (steps.Unlock(0, 1), steps.Enable(0), steps.Resume(0, 1), steps.Release(0), steps.Forget(0))


def test_a_server_that_was_paused_before_it_closes_an_incident_closes_nothing() -> None:
    """The host failed again meanwhile: its VMs would be unlocked for OpenNebula's planners, the record deleted."""
    one = front()
    record = returning(one)
    assert one.cloud.vms[1].lock == 3
    executor = act.Executor(SimulatedWorld(one.cloud), one.cloud.policy)
    executor.run([steps.Back(0, record)])
    happen(one, "hang", 0)
    one.cloud.clock += 31
    executor.run(CLOSING)
    assert one.cloud.vms[1].lock == 3
    assert one.cloud.records[0] == record
    assert one.cloud.hosts[0].state is HostState.DISABLED


@pytest.mark.parametrize("event", ["hang", "another server"])
def test_an_incident_is_closed_only_while_its_host_answers_and_its_record_is_the_same(event: str) -> None:
    """Another server confirms that the host failed again: its locks and its record would be removed."""
    one = front()
    record = returning(one)
    if event == "hang":
        happen(one, "hang", 0)
        one.cloud.advance(200.0)
    else:
        one.cloud.records[0] = replace(record, phase=Phase.CONFIRM, server=1, term=2)
    executor = act.Executor(SimulatedWorld(one.cloud), one.cloud.policy)
    executor.run([steps.Back(0, record), *CLOSING])
    assert one.cloud.vms[1].lock == 3
    assert 0 in one.cloud.records


def test_an_incident_is_closed_while_its_host_answers() -> None:
    """The host would stay disabled, and its VMs locked, until a person intervenes."""
    one = front()
    record = returning(one)
    executor = act.Executor(SimulatedWorld(one.cloud), one.cloud.policy)
    executor.run([steps.Back(0, record), *CLOSING])
    assert one.cloud.vms[1].lock == 0
    assert not one.cloud.records
    assert one.cloud.hosts[0].state is HostState.MONITORED


@pytest.mark.parametrize(("event", "words"), [("unsure", "libvirt"), ("mute", "not in order")])
def test_a_host_that_is_back_and_does_not_serve_is_reported(event: str, words: str) -> None:
    """It stays disabled, its VMs locked, and no alert is sent."""
    one = front()
    play(one, 600, "die")
    happen(one, "return", 0)
    if event == "mute":
        play(one, 20, "unsure")
        one.cloud.machines[0].unsure, one.cloud.machines[0].mute = False, True
    else:
        happen(one, event, 0)
    before = len(one.cloud.alarms)
    play(one, 300)
    assert len(one.cloud.alarms) == before
    play(one, 900)
    told = one.cloud.alarms[before:]
    assert len(told) == 1, told
    assert words in told[0]


def test_a_vm_that_waits_for_room_and_that_its_owner_unlocks_is_locked_again() -> None:
    """While the dead host is switched on without its network, OpenNebula's planners would start the VM a second time."""
    one = front()
    for machine in list(one.cloud.machines.values())[1:]:
        machine.capacity = 0
    play(one, 600, "die")
    assert one.cloud.records[0].phase is Phase.EVACUATING
    machine = one.cloud.machines[0]
    machine.on, machine.bmc = True, "silent"
    machine.network = machine.peers = machine.storage = False
    machine.running.add(1)
    one.cloud.vms[1] = replace(one.cloud.vms[1], lock=0)
    one.cloud.planner = False  # until the next round
    play(one, 10)
    one.cloud.planner = True
    play(one, 900)
    assert (one.cloud.vms[1].host, one.cloud.vms[1].lock) == (0, 3)


def test_the_owners_lock_is_set_again_after_a_second_attempt() -> None:
    """It is removed for each attempt; lost after the first one, others may change the VM that its owner locked."""
    one = front()
    one.cloud.vms[1] = replace(one.cloud.vms[1], lock=1)
    for number in (1, 2, 3):
        one.cloud.machines[number].fails_starts = True
    play(one, 240, "die")
    for number in (1, 2, 3):
        one.cloud.machines[number].fails_starts = False
    play(one, 600)
    assert one.cloud.vms[1].host != 0
    assert one.cloud.vms[1].lock == 1


def test_a_flush_of_a_suspect_host_is_reported_once() -> None:
    """Whoever runs `onehost flush` expects that the VMs leave; they wait for a proof instead."""
    one = front(has_bmc=False)
    play(one, 30, "cut storage")
    one.cloud.vms[1] = replace(one.cloud.vms[1], resched=True)
    play(one, 60)
    assert not one.cloud.vms[1].resched
    one.cloud.vms[1] = replace(one.cloud.vms[1], resched=True)
    play(one, 60)
    told = [text for text in one.cloud.alarms if "onehost flush" in text]
    assert len(told) == 1, one.cloud.timeline()
    assert one.cloud.vms[1].host == 0
