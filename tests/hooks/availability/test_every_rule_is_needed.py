"""Each rule alone: with it a check holds, without it the same check fails."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from hooks.availability import (
    act,
    brakes,
    decide,
    evacuation,
    evidence,
    protection,
    returning,
    steps,
    vm_states,
)
from hooks.availability.evidence import Evidence, Finding, Judgement, Source, Verdict
from hooks.availability.model import Phase
from hooks.availability.policy import Policy
from hooks.availability.vm_states import Course, Disposition
from onext.oned.objects import HostState
from tests.hooks.availability import more_rules
from tests.hooks.availability.happenings import FrontEnd, happen
from tests.hooks.availability.rule_checks import Checks, registered_in
from tests.hooks.availability.simulation import POLICY, Cloud, Server, SimulatedWorld, build

RULES: Checks = {}
rule = registered_in(RULES)


def cloud(
    hosts: int = 4, vms: dict[int, int] | None = None, policy: Policy = POLICY, **machines: object
) -> FrontEnd:
    """Return a quiet cloud with one VM on host 0, unless told otherwise."""
    found = build(hosts, vms or {1: 0}, policy, **machines)
    return FrontEnd(found, Server(found))


def play(front: FrontEnd, seconds: float, *events: tuple[str, int]) -> Cloud:
    """Let events happen, then time pass."""
    for what, host in events:
        happen(front, what, host)
    for _ in range(int(seconds / 10)):
        front.cloud.advance(10.0)
        front.server.round()
    return front.cloud


def always(verdict: Verdict) -> Callable[..., Judgement]:
    """Return a judge that always comes to one verdict."""
    return lambda *_, **__: Judgement(verdict, ("patched",), (Source.BMC,), powered=True)


@rule("an unverified controller proves nothing", lambda m: m.setattr(evidence, "_proves", _proves_unverified))
def _unverified() -> None:
    found = play(cloud(), 900, ("bmc other", 0), ("cut storage", 0))
    assert found.vms[1].host == 0


def _proves_unverified(item: Evidence) -> bool:
    return item.finding is Finding.DEAD


@rule(
    "one reading of a controller is not a proof", lambda m: m.setattr(evidence, "_proves", _proves_unverified)
)
def _one_reading() -> None:
    item = Evidence(Source.BMC, Finding.DEAD, readings=1)
    assert evidence.judge([item]).verdict is Verdict.UNKNOWN


@rule("silence is not a proof", lambda m: m.setattr(evidence, "_missing", _raise_silence))
def _silence() -> None:
    found = play(cloud(has_bmc=False), 3600, ("cut storage", 0))
    assert found.vms[1].host == 0


def _raise_silence(*_: object) -> tuple[str, ...]:
    raise AssertionError("silence was taken for a proof")


@rule("a sign of life beside a proof is a contradiction", lambda m: m.setattr(evidence, "_NETWORK", ()))
def _contradiction() -> None:
    items = [
        Evidence(Source.BMC, Finding.DEAD, readings=2),
        Evidence(Source.SSH, Finding.ALIVE),
    ]
    assert evidence.judge(items).verdict is Verdict.DEGRADED


@rule("old evidence does not count", lambda m: m.setattr(evidence, "FRESH", 1e9))
def _fresh() -> None:
    item = Evidence(Source.BMC, Finding.DEAD, age=120.0, readings=2)
    assert evidence.judge([item]).verdict is Verdict.UNKNOWN


@rule(
    "the proof is read again for each restart",
    lambda m: m.setattr(act.Executor, "_judge", always(Verdict.DEAD)),
)
def _each_restart() -> None:
    front = cloud()
    play(front, 190, ("hang", 0))
    found = front.cloud
    assert found.records[0].phase is Phase.EVACUATING
    calls = 0

    def powered_on_by_a_person() -> None:
        nonlocal calls
        calls += 1
        machine = found.machines[0]
        if calls == 3 and not machine.on:
            machine.on, machine.network = True, False
            machine.running.add(1)  # autostart

    for _ in range(30):
        found.advance(10.0)
        if found.vms[1].lcm == 16 and found.vms[1].host == 0:
            front.server.round(powered_on_by_a_person)
        else:
            front.server.round()
    found.check()


@rule(
    "a host that shows life is not fenced",
    lambda m: m.setattr(act.Executor, "_judge", always(Verdict.UNKNOWN)),
)
def _no_life() -> None:
    front = cloud()
    play(front, 80, ("hang", 0))
    found, calls = front.cloud, 0

    def answers_again() -> None:
        nonlocal calls
        calls += 1
        if calls == 2:
            found.machines[0].hung = False

    for _ in range(6):
        found.advance(10.0)
        front.server.round(answers_again)
    assert found.machines[0].on


@rule("VMs are locked before oned reports ERROR", lambda m: m.setattr(protection, "Protect", steps.Unlock))
def _locked() -> None:
    play(cloud(has_bmc=False), 900, ("cut storage", 0))


class _Blind:
    """Sources, of which the storage heartbeat is none."""

    MONITORING, STORAGE = Source.MONITORING, None


@rule("a storage heartbeat is a sign of life", lambda m: m.setattr(evidence, "Source", _Blind))
def _storage() -> None:
    assert evidence.judge([Evidence(Source.STORAGE, Finding.ALIVE)]).verdict is Verdict.ISOLATED


@rule(
    "more failed hosts than MAX_DOWN_HOSTS hold everything", lambda m: m.setattr(brakes, "down", lambda _: [])
)
def _max_down() -> None:
    found = play(cloud(8, {1: 0, 2: 1}), 900, ("hang", 0), ("hang", 1))
    assert all(machine.on for machine in found.machines.values())


@rule("less than half of the cluster answering holds everything", lambda m: m.setattr(brakes, "QUORUM", 0.0))
def _quorum() -> None:
    front = cloud(4, {1: 0, 2: 1}, replace(POLICY, max_down=4))
    found = play(front, 900, ("hang", 0), ("hang", 1))
    assert all(machine.on for machine in found.machines.values())


@rule("the same error on many hosts holds everything", lambda m: m.setattr(brakes, "_SAME_TEXT", 99))
def _same_text() -> None:
    front = cloud(8, {1: 0, 2: 1, 3: 2}, replace(POLICY, max_down=4))
    for number in range(3):
        front.cloud.machines[number].error = "probe key missing"
        happen(front, "mute", number)
    play(front, 300)
    found = play(front, 600, ("cut storage", 0), ("cut storage", 1), ("cut storage", 2))
    assert all(machine.on for machine in found.machines.values())


@rule("two hosts need two proofs", lambda m: m.setattr(brakes, "proofs_needed", lambda _: 1))
def _two_proofs() -> None:
    found = play(cloud(2), 900, ("die", 0))
    assert found.vms[1].host == 0


@rule("one fencing at a time, with a quiet time", lambda m: m.setattr(decide, "_busy", lambda *_: ""))
def _one_fencing() -> None:
    front = cloud(8, {1: 0, 2: 1}, replace(POLICY, max_down=2, quiet=300.0))
    found = play(front, 200, ("hang", 0), ("hang", 1))
    assert sum("ordered off" in line for line in found.history) == 1


@rule("a person's disable is respected", lambda m: m.setattr(decide, "_no_fencing", lambda *_: ""))
def _disabled() -> None:
    found = play(cloud(), 900, ("disable", 0), ("hang", 0))
    assert found.machines[0].on


def _ignore_people(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(brakes, "held", lambda *_: "")
    patch.setattr(SimulatedWorld, "forbidden", lambda *_: "")


@rule("maintenance is not failure", _ignore_people)
def _maintenance() -> None:
    front = cloud()
    play(front, 50, ("hang", 0))
    found = play(front, 900, ("maintain", 0))
    assert found.machines[0].on


@rule("a host returns only after its check", lambda m: m.setattr(returning, "Clean", steps.Enable))
def _cleaned() -> None:
    front = cloud()
    happen(front, "unsure", 0)
    play(front, 600, ("hang", 0))
    found = play(front, 300, ("return", 0))
    assert found.hosts[0].state is HostState.DISABLED


@rule("another server's record authorises nothing", lambda m: m.setattr(act.Executor, "_own", _any_record))
def _own_record() -> None:
    front = cloud()
    play(front, 130, ("hang", 0))
    found = front.cloud
    record = replace(found.records[0], phase=Phase.FENCING, server=7)
    found.records[0] = record
    found.machines[0].on, found.machines[0].hung = True, True
    world_orders = sum("ordered off" in line for line in found.history)
    executor = act.Executor(_world(front), found.policy)
    executor._written[0] = found.clock
    executor.run([steps.Fence(0)])
    assert sum("ordered off" in line for line in found.history) == world_orders


def _any_record(self: act.Executor, host: int, _phases: object) -> object:
    return self.world.incident(host)


def _world(front: FrontEnd) -> SimulatedWorld:
    return SimulatedWorld(front.cloud)


@rule("a VM that others moved is left to them", lambda m: m.setattr(evacuation, "dispose", _as_if_here))
def _moved_by_others() -> None:
    front = cloud()
    play(front, 150, ("hang", 0))
    found = front.cloud
    found.vms[1] = replace(found.vms[1], host=3, state=3, lcm=3)
    found.machines[3].running.add(1)
    play(front, 300)
    assert found.vms[1].host == 3
    entry = found.records[0].entry(1)
    assert entry is not None
    assert entry.attempts == 0


def _as_if_here(vm: object, *_: object, **__: object) -> Disposition:
    return Disposition(Course.MIGRATE, "patched")


@rule("a VM that a person powered off stays so", lambda m: m.setattr(vm_states, "_parked", _restart_parked))
def _powered_off() -> None:
    found = play(cloud(4, {1: 0, 2: 0}), 900, ("poweroff", 0), ("hang", 0))
    assert found.vms[1].host == 0


def _restart_parked(*_: object) -> Disposition:
    return Disposition(Course.MIGRATE_AND_RESUME, "patched")


@rule("local disks are not left behind", lambda m: m.setattr(vm_states, "_restart", _restart_any))
def _local() -> None:
    front = cloud(4, {1: 0, 2: 0})
    front.cloud.vms[1] = replace(front.cloud.vms[1], shared=False)
    found = play(front, 900, ("hang", 0))
    assert found.vms[1].host == 0


def _restart_any(_vm: object, _default: object, course: Course) -> Disposition:
    return Disposition(course, "patched")


@rule("a stopped part does nothing", lambda m: m.setattr(Server, "round", _round_though_stopped))
def _stopped() -> None:
    front = cloud()
    play(front, 50, ("hang", 0))
    found = play(front, 900, ("stop", 0))
    assert found.machines[0].on


def _round_though_stopped(self: Server) -> dict[int, str]:
    self.cloud.halted = False
    self.cloud.machines[0].power_off()
    return {}


RULES |= more_rules.RULES


@pytest.mark.parametrize("name", RULES)
def test_the_check_holds_with_the_rule(name: str) -> None:
    """The rules are what an administrator relies on."""
    RULES[name][1]()


@pytest.mark.parametrize("name", RULES)
def test_the_check_fails_without_the_rule(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A rule whose removal no test sees will be removed by accident."""
    patch, check = RULES[name]
    patch(monkeypatch)
    with pytest.raises(AssertionError):
        check()


def test_the_documentation_lists_every_rule() -> None:
    """An administrator who reads a rule there relies on it: each one listed has its test, and none is left out."""
    text = (Path(__file__).parents[3] / "docs/availability.md").read_text()
    listed = re.findall(r"^\| (.*) \| yes \| no \|$", text, re.MULTILINE)
    assert listed == list(RULES)
