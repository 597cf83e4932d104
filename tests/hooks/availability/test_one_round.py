"""One round of one incident: each condition of a step, at the value where it begins to hold."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from hooks.availability.decide import Round, decide, suspicious
from hooks.availability.evidence import Judgement, Source, Verdict
from hooks.availability.model import Action, Cluster, Entry, Host, Incident, Phase, Stage, Vm
from hooks.availability.policy import Mode, Policy
from hooks.availability.steps import (
    Alarm,
    Back,
    Clean,
    Enable,
    Fence,
    Forget,
    MoveBack,
    Release,
    Resume,
    Step,
    Unlock,
    Wake,
    Withdraw,
    Write,
)
from onext.oned.objects import HostState

NOW = 10_000.0
POLICY = Policy(mode=Mode.AUTO, confirm=60.0, quiet=180.0)
DOWN = Host(0, "a", HostState.DISABLED, silent=90.0, fence=True, bmc="b1", held=True)
VM = Vm(7, "db", host=0, seq=1, state=3, lcm=16, lock=3)
ENTRY = Entry(7, 1, 5, locked=True)
INCIDENT = Incident(
    0, "a", 1, Phase.CONFIRM, 9_900.0, 9_950.0, reason="silent", entries=(ENTRY,), disabled=True, bmc="b1"
)
SILENT = Judgement(Verdict.UNKNOWN, ("ssh: silent",), powered=True)
DEAD = Judgement(Verdict.DEAD, ("bmc: dead",), (Source.BMC,))
ALIVE = Judgement(Verdict.ALIVE, ("ssh: alive",))


def cluster(
    host: Host = DOWN, vms: Sequence[Vm] = (VM,), incident: Incident | None = INCIDENT, **changes: Any
) -> Cluster:
    """Return four hosts, of which the first has an incident."""
    hosts = (host, *(Host(n, f"h{n}", HostState.MONITORED) for n in (1, 2, 3)))
    incidents = {} if incident is None else {incident.host: incident}
    given = {"vms": tuple(vms), "answering": frozenset({1, 2, 3}), "incidents": incidents} | changes
    return Cluster(1, "c", hosts, **given)


def steps(
    found: Cluster, judgement: Judgement = SILENT, policy: Policy = POLICY, **changes: Any
) -> list[Step]:
    """Return the steps of a round in which the host is suspected for long enough."""
    given: dict[str, Any] = {"suspected": {0: 60.0}, "waited": {0: 60.0}} | changes
    around = Round(found, policy, {0: judgement}, NOW, **given)
    return decide(around, lambda vms, _: dict.fromkeys(vms, 1))


def written(found: Sequence[Step]) -> Incident:
    """Return the record of the last write."""
    return [step.incident for step in found if isinstance(step, Write)][-1]


@pytest.mark.parametrize(
    ("host", "vms", "mode", "reason"),
    [
        (DOWN, [VM], Mode.AUTO, "silent for 90 s"),
        (DOWN, [VM], Mode.ADVISE, "silent for 90 s"),
        (DOWN, [VM], Mode.OFF, ""),
        (DOWN, [], Mode.AUTO, ""),
        (replace(DOWN, silent=30.0), [VM], Mode.AUTO, "silent for 30 s"),
        (replace(DOWN, silent=29.9), [VM], Mode.AUTO, ""),
        (replace(DOWN, claimed=True), [VM], Mode.AUTO, ""),
        (replace(DOWN, state=HostState.OFFLINE), [VM], Mode.AUTO, ""),
        (replace(DOWN, silent=0.0, state=HostState.ERROR), [], Mode.AUTO, "oned reports ERROR"),
        (replace(DOWN, maintenance=True), [VM], Mode.AUTO, "silent for 90 s"),
        (replace(DOWN, maintenance=True, state=HostState.ERROR), [], Mode.AUTO, ""),
        (replace(DOWN, silent=0.0, rebooted=True), [VM], Mode.AUTO, "it rebooted without being reported as failed"),
        (replace(DOWN, silent=0.0, rebooted=True), [], Mode.AUTO, ""),
        (replace(DOWN, silent=0.0), [VM], Mode.AUTO, ""),
    ],
)  # fmt: skip
def test_a_host_is_suspected_for_a_reason(host: Host, vms: list[Vm], mode: Mode, reason: str) -> None:
    """A failed host's VMs stay down, or a host that a person switched off is fenced."""
    found = cluster(host, vms, None)
    assert suspicious(Round(found, replace(POLICY, mode=mode), {}, NOW), host) == reason


def test_an_incident_begins_with_all_vms_that_are_bound_to_the_host() -> None:
    """A VM that is not in the record is never restarted."""
    vms = [replace(VM, id=state, state=state, priority=state) for state in (1, 3, 4, 5, 6, 7, 8)]
    host = replace(DOWN, boot_id="x", error="no route")
    assert steps(cluster(host, vms, None)) == [
        Write(
            Incident(
                0, "a", 1, Phase.SUSPECT, NOW, NOW, reason="silent for 90 s", boot_id="x", error="no route",
                entries=tuple(Entry(state, 1, state) for state in (3, 5, 7, 8)), bmc="b1",
            )
        )
    ]  # fmt: skip


def test_a_host_that_was_removed_leaves_no_lock() -> None:
    """Its VMs could never be managed again, and the record would stay for ever."""
    incident = replace(INCIDENT, entries=(ENTRY, Entry(8, 1, 5)))
    gone = replace(cluster(incident=incident), hosts=())
    removed = Alarm(0, "host a was removed during an incident")
    assert steps(gone) == [removed, Unlock(0, 7), Forget(0)]


def test_a_host_that_was_renamed_is_held() -> None:
    """The order would go to the BMC of another machine."""
    found = written(steps(cluster(replace(DOWN, name="b"))))
    assert (found.phase, found.reason) == (Phase.HELD, "it was renamed from a to b: rename it back")


@pytest.mark.parametrize("verdict", list(Verdict))
def test_a_confirmation_ends_when_the_host_shows_life(verdict: Verdict) -> None:
    """A person's word of yesterday would start VMs twice today."""
    found = steps(cluster(), Judgement(verdict, ("x",), (Source.PERSON,)))
    withdrawn = [Withdraw(0), Alarm(0, "its confirmation was withdrawn: it showed life afterwards")]
    shows_life = verdict in (Verdict.ALIVE, Verdict.DEGRADED, Verdict.ISOLATED)
    assert (found == withdrawn) is shows_life


@pytest.mark.parametrize("phase", [phase for phase in Phase if phase is not Phase.RETURNING])
def test_a_host_that_answers_returns_whatever_was_under_way(phase: Phase) -> None:
    """A healthy host would be fenced, or stay disabled."""
    found = steps(cluster(incident=replace(INCIDENT, phase=phase)), ALIVE)
    assert [type(step) for step in found] == [Write]
    assert (written(found).phase, written(found).since) == (Phase.RETURNING, NOW)


def test_after_a_change_of_its_bmc_all_evidence_is_collected_again() -> None:
    """What another machine's BMC reported would count as this host's death."""
    proven = replace(INCIDENT, phase=Phase.FENCED, fencings=2, proof="bmc: dead", confirmed="oneadmin")
    found = written(steps(cluster(replace(DOWN, bmc="b2"), incident=proven), DEAD))
    text = "its entry in bmc.yaml changed: evidence is collected again"
    assert found == replace(
        INCIDENT, phase=Phase.CONFIRM, bmc="b2", first=NOW, since=NOW, reason=text, fencings=0
    )


@pytest.mark.parametrize(("seconds", "fenced"), [(59.9, False), (60.0, True)])
def test_nothing_is_done_before_the_confirmation_time_is_over(seconds: float, fenced: bool) -> None:
    """A short outage of the network would cut a host's power."""
    found = steps(cluster(), suspected={0: seconds}, spares=(2, 3))
    assert (Fence(0) in found) is fenced
    assert found == [] or fenced
    waiting = steps(cluster(), policy=replace(POLICY, spares=1), suspected={0: seconds}, spares=(2, 3))
    assert (waiting == [Wake(2)]) is not fenced
    advised = replace(POLICY, spares=1, mode=Mode.ADVISE)
    assert Wake(2) not in steps(cluster(), policy=advised, suspected={0: seconds}, spares=(2, 3))


def test_an_order_is_recorded_before_it_is_given() -> None:
    """After a crash the order would be given again and again."""
    found = steps(cluster(incident=replace(INCIDENT, fencings=1)))
    assert found[-1] == Fence(0)
    ordered = written(found)
    assert (ordered.phase, ordered.fencings, ordered.fenced) == (Phase.FENCING, 2, NOW)
    assert (ordered.since, ordered.reason) == (NOW, "powering it off")


@pytest.mark.parametrize(
    ("changes", "host", "judgement", "reason"),
    [
        ({"disabled": False}, {}, {}, "a person disabled it: it is not fenced; power it off, or run `onext ha confirm`"),
        ({}, {"fence": False}, {}, "no proof of death: it has no BMC and no lease: run `onext ha confirm`"),
        ({}, {"fence": False, "armed": True}, {}, "no proof of death: its lease has to expire"),
        ({"fencings": 2}, {}, {}, ""),
        ({"fencings": 3}, {}, {}, "3 fencings did not power it off: run `onext ha confirm` when it is off"),
        ({}, {}, {"powered": False}, "its BMC or fence agent does not report power: ssh: silent"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("phase", [Phase.CONFIRM, Phase.HELD, Phase.FENCING])
def test_a_host_is_not_fenced_without_a_right_to_it(
    phase: Phase, changes: dict[str, Any], host: dict[str, Any], judgement: dict[str, Any], reason: str
) -> None:
    """A host that a person disabled loses its power, or a BMC gets orders without an end."""
    incident = replace(INCIDENT, phase=phase, **changes)
    found = steps(cluster(replace(DOWN, **host), incident=incident), replace(SILENT, **judgement))
    assert (Fence(0) in found) is (reason == "")
    if reason:
        assert (written(found).phase, written(found).reason) == (Phase.HELD, reason)
        assert found[-1] == Alarm(0, reason)


@pytest.mark.parametrize(
    ("armed", "proofs", "fenced"),
    [(False, (), False), (True, (), True), (False, (Source.PERSON,), True)],
)
def test_one_of_two_hosts_is_fenced_only_when_that_cannot_be_the_wrong_one(
    armed: bool, proofs: tuple[Source, ...], fenced: bool
) -> None:
    """A broken link between two hosts would power off the one that works."""
    two = replace(cluster(), hosts=(replace(DOWN, armed=armed), Host(1, "h1", HostState.MONITORED)))
    found = steps(replace(two, answering=frozenset({1})), replace(SILENT, proofs=proofs))
    assert (Fence(0) in found) is fenced
    if not fenced:
        assert (
            written(found).reason == "a cluster of two: before it is fenced, a person runs `onext ha confirm`"
        )


@pytest.mark.parametrize(("quiet", "fenced"), [(180.0, True), (179.9, False)])
def test_a_second_host_is_fenced_after_the_quiet_time(quiet: float, fenced: bool) -> None:
    """A fault of the front-end would power off one host after the other."""
    found = steps(cluster(quiet=quiet))
    assert (Fence(0) in found) is fenced
    if not fenced:
        assert written(found).reason == "the last fencing in this cluster was 180 s ago"
        assert not any(isinstance(step, Alarm) for step in found), "it ends by itself"


@pytest.mark.parametrize(("phase", "fenced"), [(Phase.FENCING, False), (Phase.FENCED, True)])
def test_one_host_is_fenced_at_a_time(phase: Phase, fenced: bool) -> None:
    """A wrong judgement would cut the power of several hosts before anybody sees it."""
    other = replace(INCIDENT, host=1, name="h1", phase=phase, bmc="", first=9_950.0)
    found = cluster(incidents={0: INCIDENT, 1: other}, answering=frozenset({2, 3}))
    found = replace(found, hosts=(*found.hosts, Host(4, "h4", HostState.MONITORED)))
    found = replace(found, answering=frozenset({2, 3, 4}))
    both = steps(found, policy=replace(POLICY, max_down=2))
    assert (Fence(0) in both) is fenced
    if not fenced:
        assert written([step for step in both if isinstance(step, Write)][:1]).reason == (
            "another host of the cluster is being fenced"
        )


def test_two_hosts_that_fail_together_are_not_fenced_in_one_round() -> None:
    """Both would be off before the first order was seen to be right."""
    other = replace(
        INCIDENT, host=1, name="h1", bmc="", first=9_950.0, entries=(Entry(8, 1, 5, locked=True),)
    )
    found = cluster(vms=(VM, replace(VM, id=8, host=1)), incidents={0: INCIDENT, 1: other})
    second = replace(DOWN, id=1, name="h1", bmc="")
    found = replace(
        found, hosts=(found.hosts[0], second, *found.hosts[2:], Host(4, "h4", HostState.MONITORED))
    )
    around = Round(
        replace(found, answering=frozenset({2, 3, 4})), replace(POLICY, max_down=2), {0: SILENT, 1: SILENT}, NOW,
        suspected={0: 60.0, 1: 60.0},
    )  # fmt: skip
    orders = [step for step in decide(around, lambda *_: {}) if isinstance(step, Fence)]
    assert orders == [Fence(0)]


@pytest.mark.parametrize(("seconds", "again"), [(59.9, False), (60.0, True)])
def test_an_order_that_did_not_help_is_given_again_after_a_minute(seconds: float, again: bool) -> None:
    """A BMC that is slow would get a second order meanwhile, or one that lost the order none."""
    incident = replace(INCIDENT, phase=Phase.FENCING, fencings=1)
    found = steps(cluster(incident=incident), waited={0: seconds})
    assert (Fence(0) in found) is again
    assert found == [] or again


@pytest.mark.parametrize("phase", [Phase.CONFIRM, Phase.HELD, Phase.FENCING])
def test_what_proves_the_death_is_recorded(phase: Phase) -> None:
    """Nobody could tell later why VMs were started elsewhere."""
    found = written(steps(cluster(incident=replace(INCIDENT, phase=phase)), DEAD))
    assert (found.phase, found.proof, found.reason) == (Phase.FENCED, "bmc: dead", "proven dead")


@pytest.mark.parametrize(
    ("vm", "action", "needed"),
    [
        (VM, Action.MIGRATE, True),
        (replace(VM, lcm=3), Action.MIGRATE, True),
        (replace(VM, host=1), Action.MIGRATE, False),
        (replace(VM, state=5), Action.MIGRATE, False),
        (VM, Action.LEAVE, False),
        (replace(VM, id=9, host=1), Action.MIGRATE, False),
    ],
)
def test_a_host_is_fenced_only_where_that_restarts_a_vm(vm: Vm, action: Action, needed: bool) -> None:
    """A host would lose its power, with what runs on it, and nobody gain by it."""
    found = steps(cluster(vms=[vm]), policy=replace(POLICY, action=action))
    assert (Fence(0) in found) is needed
    if not needed:
        assert (written(found).phase, written(found).reason) == (
            Phase.DONE,
            "no VM of it has to be restarted",
        )


def test_a_vm_that_is_bound_to_the_host_later_is_restarted_too() -> None:
    """A VM whose migration failed late would stay down, or one that came back be taken for gone."""
    back = replace(INCIDENT, entries=(replace(ENTRY, stage=Stage.GONE), Entry(6, 1, 5)))
    late = replace(VM, id=8, priority=9)
    found = written(steps(cluster(vms=[VM, late, replace(VM, id=9, state=1)], incident=back), DEAD))
    assert [(entry.vm, entry.stage, entry.priority) for entry in found.entries] == [
        (6, Stage.WAITING, 5),
        (7, Stage.WAITING, 5),
        (8, Stage.WAITING, 9),
    ]


@pytest.mark.parametrize(
    ("phase", "next_phase"), [(Phase.FENCED, Phase.EVACUATING), (Phase.EVACUATING, None)]
)
def test_vms_start_in_the_round_after_the_proof_was_recorded(phase: Phase, next_phase: Phase | None) -> None:
    """An order without a record cannot be found again by another leader."""
    found = steps(cluster(incident=replace(INCIDENT, phase=phase)), DEAD)
    starts = [type(step).__name__ for step in found].count("Start")
    assert starts == (0 if next_phase else 1)
    if next_phase:
        assert written(found).phase is next_phase


@pytest.mark.parametrize("phase", [Phase.FENCED, Phase.EVACUATING])
def test_vms_wait_while_the_proof_is_not_found_again(phase: Phase) -> None:
    """A host that was switched on by a person would run its VMs twice."""
    found = steps(cluster(incident=replace(INCIDENT, phase=phase)), SILENT)
    assert not any(type(step).__name__ == "Start" for step in found)
    assert any(
        isinstance(step, Alarm) and "the proof of death was not found again" in step.text for step in found
    )


def test_an_evacuation_ends_when_every_vm_is_settled_and_begins_again_for_a_late_one() -> None:
    """The incident would never end, or a late VM never start."""
    settled = replace(INCIDENT, phase=Phase.EVACUATING, entries=(replace(ENTRY, stage=Stage.RUNNING),))
    found = written(steps(cluster(vms=[], incident=settled), DEAD))
    assert (found.phase, found.reason) == (Phase.DONE, "every VM is settled")
    done = replace(settled, phase=Phase.DONE)
    assert steps(cluster(vms=[], incident=done), DEAD) == []
    again = written(steps(cluster(vms=[replace(VM, id=8)], incident=done), DEAD))
    assert (again.phase, again.reason) == (Phase.EVACUATING, "VMs were found on it")


RETURNING = replace(INCIDENT, phase=Phase.RETURNING, proof="bmc: dead", confirmed="x", fencings=2)


@pytest.mark.parametrize(("silent", "suspected"), [(29.9, False), (30.0, True)])
def test_a_host_that_falls_silent_again_is_suspected_anew(silent: float, suspected: bool) -> None:
    """Its VMs would stay down because it answered once, or each lost packet would begin all again."""
    found = steps(cluster(replace(DOWN, silent=silent), incident=RETURNING))
    if suspected:
        again = replace(
            RETURNING, phase=Phase.SUSPECT, first=NOW, since=NOW, fencings=0, proof="", confirmed=""
        )
        assert found == [Write(replace(again, reason="silent again for 30 s"))]
    else:
        assert found == []


UP = replace(DOWN, silent=0.0)


@pytest.mark.parametrize(
    ("host", "disabled", "expected"),
    [
        (UP, True, [Unlock(0, 7), Enable(0), Release(0), Forget(0)]),
        (UP, False, [Unlock(0, 7), Release(0), Forget(0)]),
        (replace(UP, held=False), True, [Unlock(0, 7), Enable(0), Forget(0)]),
        (replace(UP, maintenance=True), True, [Unlock(0, 7), Release(0), Forget(0)]),
    ],
)
def test_a_host_that_is_in_order_again_is_left_as_it_was_found(
    host: Host, disabled: bool, expected: list[Step]
) -> None:
    """It stays disabled or claimed, or is enabled although a person disabled it or works on it."""
    found = cluster(host, incident=replace(RETURNING, disabled=disabled))
    assert steps(found, ALIVE) == [Clean(0)], "no VM of it may run twice"
    again, *rest = steps(found, ALIVE, cleaned=frozenset({0}))
    assert again == Back(0, found.incidents[0]), "the host may have failed again"
    assert rest == expected


@pytest.mark.parametrize(
    ("changes", "resumed"),
    [
        ({}, True),
        ({"parked_by": "person"}, False),
        ({"parked_by": ""}, False),
        ({"state": 3}, False),
        ({"host": 1}, False),
    ],
)
def test_only_what_monitoring_powered_off_on_the_host_is_resumed(
    changes: dict[str, Any], resumed: bool
) -> None:
    """A VM that its owner stopped would run again, or one that runs elsewhere get an order."""
    parked = replace(replace(VM, state=8, lcm=0, parked_by="monitoring"), **changes)
    found = cluster(UP, [parked], RETURNING)
    assert (Resume(0, 7) in steps(found, ALIVE, cleaned=frozenset({0}))) is resumed
    in_maintenance = cluster(replace(UP, maintenance=True), [parked], RETURNING)
    assert Resume(0, 7) not in steps(in_maintenance, ALIVE, cleaned=frozenset({0}))
    removed = cluster(UP, [], RETURNING)
    assert Resume(0, 7) not in steps(removed, ALIVE, cleaned=frozenset({0}))


def test_vms_move_back_only_to_an_enabled_host_and_where_that_was_chosen() -> None:
    """A VM would be ordered to a host that takes none, or away from where it runs well."""
    entry = replace(ENTRY, stage=Stage.RUNNING, target=1, locked=False)
    incident = replace(RETURNING, entries=(entry,))
    running = replace(VM, host=1, lcm=3, lock=0)
    chosen = replace(POLICY, failback=True)
    cleaned = {"cleaned": frozenset({0})}
    assert steps(cluster(UP, [running], incident), ALIVE, chosen, **cleaned) == [Enable(0)]
    ready = replace(UP, state=HostState.MONITORED)
    found = steps(cluster(ready, [running], incident), ALIVE, chosen, **cleaned)
    assert found[1:] == [MoveBack(0, 7)]
    assert written(found).entries[0].stage is Stage.GONE
    for other in (
        steps(cluster(ready, [running], incident), ALIVE, POLICY, **cleaned),
        steps(cluster(replace(ready, maintenance=True), [running], incident), ALIVE, chosen, **cleaned),
        steps(cluster(ready, [replace(running, lock=1)], incident), ALIVE, chosen, **cleaned),
    ):
        assert other[-1] == Forget(0)
        assert MoveBack(0, 7) not in other
    by_hand = replace(incident, disabled=False)
    assert MoveBack(0, 7) in steps(cluster(UP, [running], by_hand), ALIVE, chosen, **cleaned)


@pytest.mark.parametrize(("reason", "writes"), [("paused", 0), ("other", 1)])
def test_a_reason_is_written_and_reported_once(reason: str, writes: int) -> None:
    """Each write is one of the whole zone, and each alarm one mail: a night of holding would be thousands."""
    paused = "availability is paused in this cluster"
    held = replace(INCIDENT, phase=Phase.HELD, reason=paused if reason == "paused" else "x", alarms=(paused,))
    found = steps(cluster(incident=held, paused=True))
    assert [type(step) for step in found] == [Write] * writes
    if writes:
        assert (written(found).reason, written(found).since) == (paused, INCIDENT.since)


def test_the_longest_standing_incident_has_its_turn_first() -> None:
    """The VMs of the host that failed first would wait for those of all others."""
    later = replace(INCIDENT, host=2, name="x", first=9_950.0)
    same = replace(INCIDENT, host=1, name="x")
    found = steps(cluster(incidents={2: later, 1: same, 0: replace(INCIDENT, name="x")}))
    assert [step.incident.host for step in found if isinstance(step, Write)] == [0, 1, 2]
    assert decide(Round(cluster(incident=None), replace(POLICY, mode=Mode.OFF), {}, NOW), lambda *_: {}) == []
