"""Safety rules of the decision beyond those that one cluster shows: spare, turns, failures, silence, windows."""

from dataclasses import replace
from typing import Any

import pytest

from hooks.power.decide import Action, Drop, Leave, Memory, PowerOff, Return, Wake, decide
from hooks.power.needed_hosts import Wakes
from hooks.power.policy import Mode, Policy
from hooks.power.reasons_to_stay import DAY
from hooks.power.window import Window
from onext.hosts.model import Bmc, Claim, Host, Kind, Phase, Record
from onext.hosts.placement.problem import Size
from onext.oned.objects import HostState
from tests.hooks.power.test_decide import AUTO, NOW, RIPE, cluster, host, of, vm


def test_the_largest_host_may_fail_after_the_action_too() -> None:
    """High availability would find no room for its VMs once the others sleep."""
    hosts = [host(n) for n in range(3)]
    vms = [vm(n, n % 3) for n in range(9)]
    policy = replace(AUTO, min_hosts=1, buffer_vms=0)
    assert of(decide(cluster(hosts, vms[:6]), policy, NOW, RIPE), PowerOff)
    assert not of(decide(cluster(hosts, vms), replace(policy, spare_host=True), NOW, RIPE), PowerOff)


def test_hosts_take_turns() -> None:
    """One host would be switched each day until its disks fail."""
    tired = Record(proven=NOW - 86_400, on_since=NOW - 86_400, offs=(NOW - 50_000, NOW - 40_000))
    for number in range(3):
        hosts = [replace(host(n), record=tired) if n == number else host(n) for n in range(3)]
        assert number not in of(decide(cluster(hosts), AUTO, NOW, RIPE), PowerOff)


def test_a_wake_that_failed_lets_the_next_host_come_at_once() -> None:
    """A VM would wait for a broken host to be repaired."""
    failed = Claim(Phase.WAKING, NOW - 700, asked=NOW - 10, failures=1)
    hosts = [host(0), host(1, Phase.WAKING, claim=failed), host(2, Phase.OFF)]
    here = cluster(hosts, [*(vm(n, 0) for n in range(8)), vm(9)])
    policy = replace(AUTO, min_hosts=1, buffer_vms=0)
    assert of(decide(here, policy, NOW, Memory()), Wake) == [2]
    hosts[1] = host(1, Phase.WAKING)
    assert not of(decide(replace(here, hosts=tuple(hosts)), policy, NOW, Memory()), Wake)


@pytest.mark.parametrize("said", [Bmc.SILENT, Bmc.NONE])
def test_silence_is_neither_on_nor_off(said: Bmc) -> None:
    """A BMC that does not answer would be a person at the button, or a host that sleeps."""
    asleep = decide(cluster([host(0), host(1), host(2, Phase.OFF, bmc=said)]), AUTO, NOW, RIPE)
    assert not of(asleep, Leave)
    awake = decide(cluster([host(0), host(1), host(2, bmc=said)]), AUTO, NOW, RIPE)
    assert 2 not in of(awake, PowerOff)


def test_a_quarantined_host_is_nobodys_but_a_persons() -> None:
    """A host that does not wake would be woken again and again, and counted on."""
    hosts = [host(0), host(1), host(2, Phase.QUARANTINED)]
    here = cluster(hosts, [vm(n, n % 2) for n in range(16)] + [vm(20)])
    assert not decide(here, AUTO, NOW, RIPE).actions


def test_nothing_happens_by_default() -> None:
    """Installing it would switch hosts off."""
    assert Policy().mode is Mode.OFF
    assert not decide(cluster([host(n) for n in range(6)]), Policy(), NOW, RIPE).actions


def test_a_window_closes_shrinking_and_never_waking() -> None:
    """Hosts would go by day, when people look for them; or VMs wait for the night."""
    night = replace(AUTO, window=Window.parse("* 3 1 1 0"), min_hosts=2)
    assert not of(decide(cluster([host(n) for n in range(6)]), night, NOW, RIPE), PowerOff)
    assert of(decide(cluster([host(0), host(1, Phase.OFF)]), night, NOW, RIPE), Wake) == [1]


@pytest.mark.parametrize(
    ("phase", "changes", "claim", "kind"),
    [
        (Phase.OFF, {}, {}, None),
        (Phase.OFF, {"bmc": Bmc.ON}, {}, Leave),
        (Phase.OFF, {"state": HostState.DISABLED}, {}, Leave),
        (Phase.DRAINING, {"state": HostState.OFFLINE}, {}, Leave),
        (Phase.DRAINING, {"state": HostState.MONITORED}, {}, Leave),
        (Phase.DRAINING, {"state": HostState.MONITORED}, {"asked": 0.0}, PowerOff),
        (Phase.CLOSING, {}, {}, PowerOff),
        (Phase.CLOSING, {"state": HostState.DISABLED}, {}, PowerOff),
        (Phase.CLOSING, {"state": HostState.MONITORED}, {}, Leave),
        (Phase.STOPPING, {"state": HostState.MONITORED}, {}, None),
        (Phase.LEFT, {}, {"until": NOW}, None),
        (Phase.LEFT, {}, {"until": NOW - 1}, Drop),
    ],
)
def test_whose_doing_the_state_of_a_claimed_host_is(
    phase: Phase, changes: dict[str, Any], claim: dict[str, Any], kind: type[Action] | None
) -> None:
    """An operator's host would be switched off, or one of ours that a killed process left be lost for a day."""
    claimed = host(3, phase, **changes)
    assert claimed.claim
    claimed = replace(claimed, claim=replace(claimed.claim, **claim))
    policy = replace(AUTO, idle_seconds=0.0, max_parallel_off=1)
    actions = [
        a for a in decide(cluster([host(0), host(1), claimed]), policy, NOW, RIPE).actions if a.host == 3
    ]
    assert [type(action) for action in actions] == ([kind] if kind else [])


def test_each_host_that_is_left_or_dropped_states_why() -> None:
    """People would search the log of the front-end for who enabled their host."""
    hosts = [
        host(0),
        host(1),
        host(2, Phase.OFF, bmc=Bmc.ON),
        host(3, Phase.OFF, state=HostState.ERROR),
        host(4, Phase.LEFT, claim=Claim(Phase.LEFT, NOW, until=NOW - 1)),
    ]
    reasons = decide(cluster(hosts), AUTO, NOW, RIPE).reasons
    assert [reasons[number] for number in (2, 3, 4)] == [
        "another user or program switched it on",
        "another user or program put it into ERROR",
        "its pause has ended",
    ]


@pytest.mark.parametrize(
    ("hosts", "policy", "woken", "returned", "why"),
    [
        ([host(2, Phase.OFF)], {"mode": Mode.OFF}, [2], [], "MODE is off: its hosts return to service"),
        ([host(2, Phase.DRAINING), host(3, Phase.CLOSING)], {"mode": Mode.OFF}, [], [2, 3], "MODE is off"),
        ([host(2, Phase.DRAINING), host(3, Phase.CLOSING)], {"mode": Mode.ADVISE}, [], [2, 3], "MODE is advise"),
        ([host(2, Phase.OFF)], {"mode": Mode.ADVISE}, [], [], "already off"),
        ([host(n, Phase.OFF) for n in (2, 3, 4)], {"mode": Mode.OFF, "max_parallel_on": 2}, [2, 3], [], "MODE is off"),
        ([host(2, Phase.OFF), host(3, Phase.WAKING), host(4, Phase.WAKING)], {"mode": Mode.OFF, "max_parallel_on": 2},
         [], [], "already off"),
        ([host(2, Phase.CLOSING), host(3, Phase.OFF)], {"min_hosts": 3}, [], [2], "MIN_HOSTS is 3"),
        ([host(2, Phase.DRAINING)], {"min_hosts": 3, "max_parallel_on": 0}, [], [2], "MIN_HOSTS is 3"),
    ],
)  # fmt: skip
def test_what_is_brought_back_and_how_many_at_once(
    hosts: list[Host], policy: dict[str, Any], woken: list[int], returned: list[int], why: str
) -> None:
    """Hosts would sleep on after MODE = off, or all start at once and trip a breaker."""
    decision = decide(cluster([host(0), host(1), *hosts]), replace(AUTO, **policy), NOW, RIPE)
    assert (of(decision, Wake), of(decision, Return)) == (woken, returned)
    assert why in decision.reasons[2]


def test_what_a_person_switched_off_stays_off() -> None:
    """Somebody works on it: no mode, no decision and no demand may start it under his hands."""
    claim = Claim(Phase.OFF, NOW - 60, by_hand=True)
    hosts = [host(0), host(1), host(2, Phase.OFF, claim=claim)]
    for mode in Mode:
        decision = decide(
            cluster(hosts, [vm(9, size=Size(1600, 65_536), hosts=frozenset({2}))]),
            replace(AUTO, mode=mode),
            NOW,
            RIPE,
        )
        assert 2 not in {action.host for action in decision.actions}
    draining = host(2, Phase.DRAINING, claim=replace(claim, phase=Phase.DRAINING, asked=NOW))
    for policy in (AUTO, replace(AUTO, complaints=("MODE = x",))):
        assert 2 not in {
            action.host for action in decide(cluster([host(0), host(1), draining]), policy, NOW, RIPE).actions
        }


@pytest.mark.parametrize(
    ("hosts", "held"),
    [
        ([host(2, Phase.OFF)], ""),
        ([host(2, Phase.WAKING)], "a host is on its way back"),
        ([host(2, Phase.RETURNING)], "a host is on its way back"),
    ],
)
def test_nothing_shrinks_while_a_host_is_on_its_way_back(hosts: list[Host], held: str) -> None:
    """Hosts would be switched off and on in one breath."""
    decision = decide(cluster([host(0), host(1), host(3), *hosts]), AUTO, NOW, RIPE)
    assert (decision.held, bool(of(decision, PowerOff))) == (held, not held)
    assert not held or decision.reasons[0] == f"nothing shrinks now: {held}"


def test_a_buffer_that_no_host_can_bring_holds_the_cluster() -> None:
    """The room that is missing already would be made less."""
    decision = decide(
        cluster([host(n) for n in range(3)], [vm(1, 0)]), replace(AUTO, buffer_vms=24), NOW, RIPE
    )
    assert (decision.held, decision.missing_buffer) == ("hosts are being brought back", 1)
    here = cluster([host(n) for n in range(3)], [vm(1, 0)])
    assert decide(here, replace(AUTO, buffer_vms=23), NOW, RIPE).missing_buffer == 0


def test_a_drain_ends_where_its_host_is_needed_after_all() -> None:
    """It would stay disabled without being emptied, and no other host go off in its place."""
    policy = replace(AUTO, min_hosts=1, buffer_vms=0)
    proven = Record(proven=NOW - 40 * DAY, on_since=NOW - DAY)
    hosts = [host(0), host(1), host(2, Phase.DRAINING, record=proven)]
    decision = decide(cluster(hosts), policy, NOW, RIPE)
    assert (of(decision, Return), of(decision, PowerOff)) == ([2], [])
    assert decision.reasons[2] == "it is needed after all"


FULL = [vm(n, 2) for n in range(3)]


@pytest.mark.parametrize(
    ("migrations", "begun", "moved"),
    [(27, [2], 3), (28, [2], 2), (29, [2], 1), (30, [2], 0), (31, [2], 0)],
)
def test_the_budget_of_migrations_is_used_to_the_last_one(
    migrations: int, begun: list[int], moved: int
) -> None:
    """One host would never be emptied because it has more VMs than an hour allows, or an hour see too many."""
    policy = replace(AUTO, min_hosts=1, buffer_vms=0, max_migrations=30)
    hosts = [host(0, wild=1), host(1, wild=1), host(2, Phase.DRAINING)]
    decision = decide(cluster(hosts, FULL, migrations=migrations), policy, NOW, RIPE)
    assert of(decision, PowerOff) == begun
    assert sum(len(a.moves) for a in decision.actions if isinstance(a, PowerOff)) == moved


@pytest.mark.parametrize(("migrations", "begun"), [(26, 2), (27, 1)])
def test_a_second_host_is_emptied_where_the_budget_allows_all_of_it(migrations: int, begun: int) -> None:
    """Two half-empty hosts would be disabled for an hour where one could be off."""
    policy = replace(AUTO, min_hosts=1, buffer_vms=0, max_migrations=30)
    vms = [vm(n, n // 2) for n in range(4)] + [vm(n, 2) for n in (4, 5, 6)]
    here = cluster([host(n) for n in range(3)], vms, migrations=migrations)
    assert len(of(decide(here, policy, NOW, RIPE), PowerOff)) == begun


@pytest.mark.parametrize(
    ("since", "idle", "off"),
    [(NOW - 300.0, 300.0, True), (NOW - 299.0, 300.0, False), (NOW, 0.0, True), (None, 0.0, False)],
)
def test_a_host_is_ripe_after_its_idle_time_and_two_decisions(
    since: float | None, idle: float, off: bool
) -> None:
    """A lull of a minute would switch it off."""
    before = Memory({} if since is None else {2: since})
    hosts = [host(0, wild=1), host(1, wild=1), host(2)]
    decision = decide(cluster(hosts), replace(AUTO, idle_seconds=idle), NOW, before)
    assert of(decision, PowerOff) == ([2] if off else [])
    assert decision.memory.wanted_off == {2: NOW if since is None else since}


def test_reasons_name_what_moves_and_what_it_saves() -> None:
    """People would not see what their migrations are for, or that a host only waits for its turn."""
    policy = replace(AUTO, min_hosts=1, buffer_vms=0, max_parallel_off=1)
    hosts = [host(0, wild=1), host(1), host(2)]
    decision = decide(cluster(hosts, [vm(1, 1)]), policy, NOW, RIPE)
    assert decision.reasons[2] == "empty and not needed: saves 92 W"
    assert decision.reasons[1] == "1 VM fits elsewhere (8.0 GB to move): saves 92 W; waits for its turn"
    two = decide(cluster([hosts[0], hosts[1]], [vm(1, 1), vm(2, 1)]), policy, NOW, RIPE)
    assert two.reasons == {0: "1 wild VMs run on it", 1: "2 VMs fit elsewhere (16.0 GB to move): saves 92 W"}
    closing = decide(cluster([*hosts[:1], host(2, Phase.CLOSING)]), policy, NOW, RIPE)
    assert closing.reasons[2] == "empty and not needed"
    needed = decide(cluster([host(0)]), policy, NOW, RIPE)
    assert needed.reasons[0] == "needed"


def test_wakes_are_counted_while_a_vm_waits_and_forgotten_after() -> None:
    """A VM would have hosts woken without end, or one that comes back be refused its first."""
    policy = replace(AUTO, min_hosts=1, buffer_vms=0)
    full = [vm(n, 0) for n in range(8)]
    hosts = [host(0), host(1, Phase.OFF), host(2, Phase.OFF)]
    waits = cluster(hosts, [*full, vm(9)])
    first = decide(waits, policy, NOW, Memory(wakes={7: Wakes(2, NOW - 900)}))
    assert first.memory.wakes == {9: Wakes(1, NOW)}
    again = decide(waits, policy, NOW + 200, first.memory)
    assert again.memory.wakes == {9: Wakes(2, NOW + 200)}
    late = decide(cluster([host(0)], [*full, vm(9, since=NOW - 901)]), policy, NOW, first.memory)
    assert late.memory.wakes == first.memory.wakes
    assert decide(cluster(hosts, full), policy, NOW, first.memory).memory.wakes == {}
    drained = cluster([host(0), host(1, Phase.DRAINING)], [*full, vm(9)])
    assert decide(drained, policy, NOW, Memory()).memory.wakes == {}, "a host that is on costs no wake"


@pytest.mark.parametrize(
    ("hosts", "change", "said"),
    [
        ([host(1)], {}, "a host has room for it, but the scheduler does not place it"),
        ([host(1, Phase.OFF)], {}, "a host with room for it is on its way"),
        ([], {}, "its size or requirements fit on no host that is on or may be woken"),
        ([], {"since": NOW - 900}, ""),
        ([], {"host": 3, "kind": Kind.RUNNING}, ""),
    ],
)
def test_what_a_vm_waits_for_is_named_after_its_time(
    hosts: list[Host], change: dict[str, Any], said: str
) -> None:
    """Its owner would ask an administrator, who would find nothing."""
    vms = [*(vm(n, 0) for n in range(8)), vm(9, **{"since": NOW - 901, **change})]
    here = cluster([host(0), host(3, state=HostState.ERROR), *hosts], vms)
    decision = decide(here, replace(AUTO, min_hosts=1, buffer_vms=0, vm_wait_timeout=900.0), NOW, RIPE)
    assert decision.stuck == ({9: said} if said else {})
