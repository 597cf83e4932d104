"""One round of an evacuation: what becomes of each VM, and what is ordered."""

from __future__ import annotations

import random
import string
from collections.abc import Mapping, Sequence
from dataclasses import replace

import pytest

from hooks.availability.alarms import reported
from hooks.availability.evacuation import Evacuation, elapsed
from hooks.availability.model import Entry, Incident, Phase, Stage, Vm
from hooks.availability.policy import Policy
from hooks.availability.records import encode
from hooks.availability.steps import Alarm, Boot, Recover, Relock, Start, Step, Unlock
from hooks.availability.vm_states import Course

NOW = 100_000.0
DEAD, TARGET = 0, 1
USUAL = Policy()
STARTED = Entry(7, 1, 5, stage=Stage.STARTED, attempts=1, target=TARGET, started=NOW - 30, locked=True)
VM = Vm(7, "db", host=DEAD, seq=1, state=3, lcm=16)


def after(
    entries: Sequence[Entry],
    vms: Sequence[Vm],
    policy: Policy = USUAL,
    *,
    proven: bool = True,
    room: Mapping[int, int] | None = None,
    since: float = NOW - 100,
) -> tuple[dict[int, Entry], list[Step]]:
    """Return entries and steps of one round; every VM has room on TARGET unless told otherwise."""
    incident = Incident(DEAD, "a", 100, Phase.EVACUATING, since, since, entries=tuple(entries))
    one = Evacuation(incident, {vm.id: vm for vm in vms}, policy, NOW)
    places = dict.fromkeys([entry.vm for entry in entries], TARGET) if room is None else room
    done = one.run(lambda wanted, _: {vm: places[vm] for vm in wanted if vm in places}, proven=proven)
    return {entry.vm: entry for entry in done.entries}, one.steps


def test_a_waiting_vm_is_ordered_once_with_all_that_its_record_needs() -> None:
    """The order that is not in the record cannot be proven to be ours, and is given twice."""
    (entry,), steps = _one(replace(STARTED, stage=Stage.WAITING, attempts=0, target=-1), replace(VM, lock=3))
    assert steps == [Start(DEAD, 7, TARGET, Course.MIGRATE)]
    assert (entry.stage, entry.target, entry.attempts, entry.started) == (Stage.STARTED, TARGET, 1, NOW)
    assert (entry.locked, entry.owner_lock) == (True, 0), "the lock is ours"
    (entry,), _ = _one(Entry(7, 1, 5), replace(VM, lock=2))
    assert entry.owner_lock == 2, "the owner's lock is set again later"


def _one(
    entry: Entry, vm: Vm, policy: Policy = USUAL, *, proven: bool = True
) -> tuple[list[Entry], list[Step]]:
    entries, steps = after([entry], [vm], policy, proven=proven)
    return list(entries.values()), steps


@pytest.mark.parametrize("stage", [Stage.WAITING, Stage.STARTED])
def test_without_a_proof_nothing_is_started_or_booted(stage: Stage) -> None:
    """The first instance may still run: two write to the same disks."""
    _, steps = _one(replace(STARTED, stage=stage), VM, proven=False)
    assert not steps
    _, steps = _one(STARTED, replace(VM, host=TARGET, state=8, lcm=0), proven=False)
    assert not steps


def test_a_vm_that_was_moved_in_poweroff_is_booted_unless_a_person_stopped_it() -> None:
    """It would stay down after its move, or run against its owner's order."""
    moved = replace(VM, host=TARGET, state=8, lcm=0)
    assert _one(STARTED, moved)[1] == [Boot(DEAD, 7, TARGET)]
    assert _one(STARTED, replace(moved, parked_by="person"))[1] == []


@pytest.mark.parametrize(("owner", "step"), [(0, Unlock(DEAD, 7)), (2, Relock(DEAD, 7, 2))])
def test_a_vm_that_runs_again_has_the_lock_that_its_owner_chose(owner: int, step: Step) -> None:
    """Its owner could not manage it any more, or it is open to others."""
    (entry,), steps = _one(replace(STARTED, owner_lock=owner), replace(VM, host=TARGET, lcm=3))
    assert steps == [step]
    assert (entry.stage, entry.locked, entry.reason) == (Stage.RUNNING, False, "")


def test_a_vm_is_waited_for_until_it_is_ready_and_then_reported() -> None:
    """Clients start before their database, or wait for one that never gets ready."""
    vm = replace(VM, host=TARGET, lcm=3, ready="port 5432", answers=False)
    (entry,), steps = _one(replace(STARTED, started=NOW - 600), vm)
    assert (entry.stage, steps) == (Stage.STARTED, [])
    (entry,), steps = _one(replace(STARTED, started=NOW - 601), vm)
    assert (entry.stage, entry.reason) == (Stage.RUNNING, "not ready")
    assert isinstance(steps[0], Alarm)
    (entry,), steps = _one(STARTED, replace(vm, answers=True))
    assert (entry.stage, entry.reason) == (Stage.RUNNING, "")


@pytest.mark.parametrize(("age", "waits"), [(120, True), (121, False)])
def test_an_order_that_oned_never_took_is_tried_elsewhere_and_costs_no_attempt(
    age: float, waits: bool
) -> None:
    """A lost answer would use up the retries, or leave the VM down."""
    entries, steps = after([replace(STARTED, started=NOW - age)], [VM], room={})
    entry = entries[7]
    if waits:
        assert (entry.stage, steps) == (Stage.STARTED, [])
    else:
        assert (entry.stage, entry.attempts, entry.target) == (Stage.WAITING, 0, -1)
        assert "no host has room" in entry.reason


@pytest.mark.parametrize(("age", "reported"), [(600, False), (601, True)])
def test_a_start_that_takes_too_long_is_reported(age: float, reported: bool) -> None:
    """A VM hangs in its prolog for hours, and nothing tells a person."""
    (entry,), steps = _one(replace(STARTED, started=NOW - age), replace(VM, host=TARGET, lcm=9))
    assert entry.stage is Stage.STARTED
    assert [type(step) for step in steps] == ([Alarm] if reported else [])


@pytest.mark.parametrize("lcm", [36, 37, 38, 61])
@pytest.mark.parametrize("attempts", [1, 2, 3])
def test_a_failed_start_is_retried_as_often_as_chosen(lcm: int, attempts: int) -> None:
    """One broken target leaves the VM down, or it is tried without an end."""
    (entry,), steps = _one(
        replace(STARTED, attempts=attempts), replace(VM, host=TARGET, lcm=lcm), Policy(retries=2)
    )
    assert entry.tried == (TARGET,)
    if attempts > 2 or lcm == 36:
        assert entry.stage is Stage.FAILED
        assert [type(step) for step in steps] == [Alarm]
    else:
        assert (entry.stage, entry.target, steps) == (Stage.WAITING, -1, [Recover(DEAD, 7)])


def test_vms_that_others_moved_or_removed_are_left_to_them() -> None:
    """A second start of a VM that runs on a third host."""
    assert _one(STARTED, replace(VM, host=5, lcm=3))[0][0].stage is Stage.GONE
    assert after([STARTED], [])[0][7].stage is Stage.GONE
    assert _one(replace(STARTED, stage=Stage.FAILED), VM)[0][0].stage is Stage.FAILED


def test_a_few_at_once_the_most_important_first() -> None:
    """All VMs of a host that start together overload storage and the other hosts."""
    entries = [Entry(number, 1, 5) for number in range(1, 6)]
    vms = [replace(VM, id=number) for number in range(1, 6)]
    found, steps = after([*entries, STARTED], [*vms, VM], Policy(max_parallel=3))
    assert [step.vm for step in steps if isinstance(step, Start)] == [1, 2]
    assert sum(entry.stage is Stage.STARTED for entry in found.values()) == 3


@pytest.mark.parametrize(
    ("first", "started", "opens"),
    [
        (Stage.RUNNING, NOW - 1, True),
        (Stage.FAILED, NOW - 1, True),
        (Stage.STARTED, NOW - 60, False),
        (Stage.STARTED, NOW - 61, True),
        (Stage.STARTED, NOW + 5, True),  # the clock was set back
    ],
)
def test_a_group_starts_after_the_one_before_it_or_its_pause(
    first: Stage, started: float, opens: bool
) -> None:
    """Clients start before their database, or one VM that hangs keeps all others down."""
    above = replace(STARTED, priority=9, stage=first, started=started)
    below = Entry(8, 1, 5)
    running = replace(VM, host=TARGET, lcm=9)
    _, steps = after([above, below], [running, replace(VM, id=8)], Policy(group_pause=60.0))
    assert ([step.vm for step in steps if isinstance(step, Start)] == [8]) is opens


@pytest.mark.parametrize(("since", "opens"), [(NOW - 900, False), (NOW - 901, True)])
def test_a_group_that_cannot_start_does_not_hold_the_others_without_an_end(since: float, opens: bool) -> None:
    """One VM without room would keep every VM of a lower priority down."""
    vms = [VM, replace(VM, id=8)]
    _, steps = after([Entry(7, 1, 9), Entry(8, 1, 5)], vms, room={8: TARGET}, since=since)
    assert (Start(DEAD, 8, TARGET, Course.MIGRATE) in steps) is opens


@pytest.mark.parametrize(("age", "lcm", "reported"), [(900, 3, False), (901, 3, True), (901, 16, False)])
def test_a_vm_that_waits_for_oned_or_a_driver_is_reported_after_a_while(
    age: float, lcm: int, reported: bool
) -> None:
    """A driver that hangs keeps a VM down for hours, and nothing tells a person."""
    _, steps = after([Entry(7, 1, 5)], [replace(VM, lcm=lcm)], since=NOW - age)
    texts = [step.text for step in steps if isinstance(step, Alarm)]
    assert any(text.startswith("VM 7 (db) still waits: LCM state 3: ") for text in texts) is reported


def test_hosts_that_were_tried_are_remembered_and_not_without_an_end() -> None:
    """A VM is ordered to the same broken host again, or its record outgrows a document."""
    failed = replace(VM, host=TARGET, lcm=37)
    tried = tuple(range(100, 120))
    (entry,), _ = _one(replace(STARTED, tried=tried), failed)
    assert entry.tried == (*tried[1:], TARGET)
    (entry,), _ = _one(replace(STARTED, tried=tried[1:]), failed)
    assert entry.tried == (*tried[1:], TARGET)
    late = replace(STARTED, tried=tried, started=NOW - 121, attempts=2)
    seen: list[Mapping[int, frozenset[int]]] = []
    incident = Incident(DEAD, "a", 100, Phase.EVACUATING, NOW, NOW, entries=(late,))

    def place(_: Sequence[int], without: Mapping[int, frozenset[int]]) -> Mapping[int, int]:
        seen.append(without)
        return {}

    Evacuation(incident, {7: VM}, USUAL, NOW).run(place, proven=True)
    assert seen == [{7: frozenset((*tried[1:], TARGET))}]


def test_a_vm_that_cannot_be_read_stays_as_it_is_recorded() -> None:
    """It would be taken for removed, and never start."""
    incident = Incident(DEAD, "a", 100, Phase.EVACUATING, NOW, NOW, entries=(STARTED,))
    done = Evacuation(incident, {}, USUAL, NOW, unread={7}).run(lambda *_: {}, proven=True)
    assert done.entries == (STARTED,)


def test_a_report_is_made_once() -> None:
    """One VM without room would send a mail in each round."""
    incident = Incident(DEAD, "a", 100, Phase.EVACUATING, NOW, NOW, entries=(Entry(7, 1, 5),))
    one = Evacuation(incident, {7: VM}, USUAL, NOW)
    one.run(lambda *_: {}, proven=True)
    why = "is not restarted yet: no host has room that it may use"
    assert one.steps == [Alarm(DEAD, f"VM 7 (db) {why}", f"VM 7 {why}")]
    incident = reported(incident, one.steps)
    renamed = replace(VM, name="another name")
    again = Evacuation(incident, {7: renamed}, USUAL, NOW)
    again.run(lambda *_: {}, proven=True)
    assert again.steps == []


def test_a_vm_that_starts_for_long_is_reported_once() -> None:
    """Its age is another one in each round: a mail would follow every ten seconds."""
    incident = Incident(DEAD, "a", 100, Phase.EVACUATING, NOW, NOW, entries=(STARTED,))
    alarms = []
    for passed in range(600, 900, 10):
        one = Evacuation(incident, {7: replace(VM, host=TARGET, lcm=2)}, USUAL, STARTED.started + passed)
        incident = reported(one.run(lambda *_: {}, proven=True), one.steps)
        alarms += one.steps
    assert len(alarms) == 1, alarms


@pytest.mark.parametrize("names", ["x", "random"])
def test_as_many_reports_as_a_host_has_vms_are_remembered(names: str) -> None:
    """On a full cloud each round would mail hundreds, or names that tenants chose keep the record from being written."""
    dice = random.Random(1)
    vms = {
        n: replace(
            VM, id=n, name="".join(dice.choices(string.ascii_letters, k=60)) if names == "random" else "x"
        )
        for n in range(400)
    }
    incident = Incident(
        DEAD, "a", 100, Phase.EVACUATING, NOW, NOW, entries=tuple(Entry(n, 1, 5) for n in vms)
    )
    policy = replace(USUAL, max_parallel=1000)
    one = Evacuation(incident, vms, policy, NOW)
    after = reported(one.run(lambda *_: {}, proven=True), one.steps)
    assert len(one.steps) == 400
    assert sum(map(len, encode(after).values())) < 60_000
    again = Evacuation(after, vms, policy, NOW)
    again.run(lambda *_: {}, proven=True)
    assert again.steps == []


def test_time_that_ran_backwards_counts_as_passed() -> None:
    """A clock that was set back by a year would hold every restart for a year."""
    assert elapsed(NOW, NOW) == 0.0
    assert elapsed(NOW, NOW - 5) == 5.0
    assert elapsed(NOW, NOW + 1) == float("inf")
