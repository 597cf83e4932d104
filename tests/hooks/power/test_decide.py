"""The decision's safety rules and reasons, one by one, and all of them on drawn clusters."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hooks.power import buffer
from hooks.power.decide import Action, Decision, Drop, Leave, Memory, PowerOff, Return, Wake, decide
from hooks.power.needed_hosts import Wakes, short
from hooks.power.policy import Mode, Parked, Policy
from hooks.power.window import Window
from onext.hosts.energy import Curve
from onext.hosts.model import Bmc, Claim, Cluster, Host, Kind, Phase, Record, Vm
from onext.hosts.placement.problem import ZERO, Size
from onext.oned.objects import HostState

NOW = 1_800_000_000.0
SIZE = Size(1600, 65_536)
FLAVOUR = Size(200, 8192)
AUTO = Policy(mode=Mode.AUTO, pack=True, target_utilisation=1.0, spare_host=False, max_parallel_off=9)
RIPE = Memory(dict.fromkeys(range(20), NOW - 7200))
STATES = {None: HostState.MONITORED, Phase.DRAINING: HostState.DISABLED, Phase.RETURNING: HostState.DISABLED}


def host(number: int, phase: Phase | None = None, **changes: Any) -> Host:
    """Return an enrolled host that may be switched off, or that we are at work on."""
    usual = Host(
        number,
        f"node-{number}",
        STATES.get(phase, HostState.OFFLINE),
        SIZE,
        bmc=Bmc.OFF if phase is Phase.OFF else Bmc.ON,
        claim=Claim(phase, NOW - 60, asked=NOW - 50, until=NOW + 3600) if phase else None,
        record=Record(proven=NOW - 86_400, on_since=NOW - 86_400),
        monitored=NOW - 20,
    )
    return replace(usual, **changes)


def vm(number: int, on: int = -1, **changes: Any) -> Vm:
    """Return a VM that runs on a host, or waits for one."""
    kind = Kind.RUNNING if on >= 0 else Kind.PENDING
    return replace(Vm(number, f"vm-{number}", FLAVOUR, kind, on, since=NOW - 30), **changes)


def cluster(hosts: list[Host], vms: list[Vm] = [], **changes: Any) -> Cluster:  # noqa: B006 (read only)
    return Cluster(100, "alpha", tuple(hosts), tuple(vms), **changes)


def of(decision: Decision, kind: type[Action]) -> list[int]:
    return [action.host for action in decision.actions if type(action) is kind]


def test_an_empty_cluster_shrinks_to_min_hosts() -> None:
    """The whole point: hosts that nobody needs burn for nothing."""
    decision = decide(cluster([host(n) for n in range(6)]), AUTO, NOW, RIPE)
    assert len(of(decision, PowerOff)) == 4
    assert "saves 92 W" in decision.reasons[of(decision, PowerOff)[0]]


def test_vms_are_packed_only_when_the_policy_says_so() -> None:
    """Migrations that nobody ordered would surprise tenants."""
    here = cluster([host(n) for n in range(4)], [vm(n, n) for n in range(4)])
    assert of(decide(here, AUTO, NOW, RIPE), PowerOff)
    decision = decide(here, replace(AUTO, pack=False), NOW, RIPE)
    assert not decision.actions
    assert "PACK is no" in decision.reasons[0]


def test_off_needs_two_agreeing_plans_and_idle_minutes() -> None:
    """A short lull would send hosts to sleep and back."""
    here = cluster([host(n) for n in range(6)])
    policy = replace(AUTO, idle_seconds=300)
    first = decide(here, policy, NOW, Memory())
    assert not first.actions
    again = decide(here, policy, NOW + 60, first.memory)
    assert not again.actions
    assert of(decide(here, policy, NOW + 300, again.memory), PowerOff)
    assert not of(decide(here, policy, NOW + 300, Memory()), PowerOff)


def test_max_parallel_off_counts_what_is_going_already() -> None:
    """A mistake in one host's power-off would be repeated on all at once."""
    policy = replace(AUTO, max_parallel_off=1)
    hosts = [host(n) for n in range(6)]
    assert len(of(decide(cluster(hosts), policy, NOW, RIPE), PowerOff)) == 1
    assert not of(decide(cluster([*hosts[:5], host(5, Phase.STOPPING)]), policy, NOW, RIPE), PowerOff)


def test_a_waiting_vm_wakes_only_a_host_on_which_it_fits() -> None:
    """Waking the wrong host costs energy and does not help the VM."""
    hosts = [host(0), host(1, Phase.OFF, size=Size(100, 1024)), host(2, Phase.OFF), host(3, Phase.OFF)]
    full = [vm(n, 0) for n in range(8)]
    decision = decide(
        cluster(hosts, [*full, vm(9, hosts=frozenset({1, 3}))]),
        replace(AUTO, min_hosts=1, buffer_vms=0),
        NOW,
        Memory(),
    )
    assert of(decision, Wake) == [3]
    assert "VM 9 (vm-9)" in decision.reasons[3]


def test_a_tenant_wakes_at_most_n_hosts_with_back_off() -> None:
    """A VM that never fits would switch hosts on all night."""
    hosts = [host(0), *(host(n, Phase.OFF) for n in range(1, 5))]
    here = cluster(hosts, [*(vm(n, 0) for n in range(8)), vm(9)])
    policy = replace(AUTO, min_hosts=1, buffer_vms=0)
    assert len(of(decide(here, policy, NOW, Memory()), Wake)) == 1
    assert not of(decide(here, policy, NOW, Memory(wakes={9: Wakes(1, NOW - 60)})), Wake)
    assert of(decide(here, policy, NOW, Memory(wakes={9: Wakes(1, NOW - 200)})), Wake)
    assert not of(decide(here, policy, NOW, Memory(wakes={9: Wakes(3, NOW - 9999)})), Wake)


def test_a_vm_that_waits_too_long_is_named_and_counts_no_more() -> None:
    """A tenant could hold hosts awake for ever with a VM that the scheduler never places."""
    hosts = [host(n) for n in range(4)]
    late = vm(9, since=NOW - 5000, size=Size(1600, 65_536))
    decision = decide(cluster(hosts, [late, vm(10, hosts=frozenset(), since=NOW - 5000)]), AUTO, NOW, RIPE)
    assert "scheduler does not place it" in decision.stuck[9]
    assert "fit on no host" in decision.stuck[10]
    assert len(of(decision, PowerOff)) == 2


def test_a_short_buffer_brings_hosts_back_and_drains_first() -> None:
    """A new VM would wait for a boot that a cancelled drain spares it."""
    hosts = [host(0), host(1, Phase.DRAINING), host(2, Phase.OFF)]
    full = [vm(n, 0) for n in range(8)]
    decision = decide(cluster(hosts, full), replace(AUTO, min_hosts=1), NOW, Memory())
    assert of(decision, Return) == [1]
    assert not of(decision, Wake)


def test_vms_of_a_host_in_error_are_demand_at_once() -> None:
    """High availability would find no room for them."""
    hosts = [host(0, state=HostState.ERROR, bmc=Bmc.SILENT), host(1), host(2, Phase.OFF)]
    vms = [vm(n, 0) for n in range(3)] + [vm(n, 1) for n in range(3, 10)]
    decision = decide(cluster(hosts, vms), replace(AUTO, min_hosts=1, buffer_vms=0), NOW, RIPE)
    assert of(decision, Wake) == [2]


def test_min_hosts_brings_hosts_back() -> None:
    """The administrator raised it for a reason."""
    decision = decide(cluster([host(0), host(1, Phase.OFF), host(2, Phase.OFF)]), AUTO, NOW, Memory())
    assert len(of(decision, Wake)) == 1


def test_the_buffer_is_short_until_the_host_is_there() -> None:
    """Seconds short of the buffer are those in which the next VM would have waited: a boot counts."""
    policy = replace(AUTO, buffer_vms=2)
    full = [vm(n, 0) for n in range(7)]
    assert short(cluster([host(0), host(1, Phase.OFF)], full), policy)
    assert short(cluster([host(0), host(1, Phase.WAKING)], full), policy)
    assert not short(cluster([host(0), host(1)], full), policy)
    assert short(cluster([host(0)], full), replace(policy, buffer_vms=0, buffer_size=Size(0, 9000)))
    assert not short(cluster([host(0)], full), replace(policy, buffer_vms=0))


def test_the_spare_of_the_largest_host_brings_hosts_back() -> None:
    """A host that dies would take VMs with it that fit nowhere, while others sleep."""
    policy = replace(AUTO, spare_host=True, min_hosts=1, buffer_vms=0)
    full = [vm(n, n % 2) for n in range(10)]  # 80 of 128 GiB: either host could not take the other's
    here = cluster([host(0), host(1), host(2, Phase.OFF)], full)
    decision = decide(here, policy, NOW, RIPE)
    assert of(decision, Wake) == [2]
    assert "N+1" in decision.reasons[2]
    assert not decide(here, replace(policy, spare_host=False), NOW, RIPE).actions
    assert not of(decide(cluster(list(here.hosts), full[:4]), policy, NOW, RIPE), Wake)


def test_a_drain_ends_with_its_window() -> None:
    """A host that is being emptied when the window closes would take no VMs until the next one."""
    policy = replace(AUTO, window=Window.parse("* 2-3 * * *"))
    here = cluster([host(0), host(1), host(2), host(3, Phase.DRAINING)])
    decision = decide(here, policy, NOW, RIPE)
    assert of(decision, Return) == [3]
    assert "outside WINDOW" in decision.reasons[3]


def test_a_vm_is_not_sent_to_a_host_where_its_group_stands() -> None:
    """A host would be brought back for nothing, and the VM wait a round longer for another."""
    keeps = frozenset({"7/db"})
    large = Size(1000, 8192)
    full = [vm(n, 0, size=large) for n in (1,)]
    draining = host(1, Phase.DRAINING, curve=Curve((1.0, 2.0)))
    here = cluster(
        [host(0), draining, host(2, Phase.OFF)],
        [*full, vm(2, 1, apart=keeps), vm(3, size=large, apart=keeps)],
    )
    decision = decide(here, replace(AUTO, min_hosts=1, buffer_vms=0), NOW, RIPE)
    assert of(decision, Wake) == [2]


def test_the_buffer_is_kept_where_every_vm_may_stand() -> None:
    """Room on a host for pinned CPUs is no room for the next VM."""
    policy = replace(AUTO, min_hosts=1, buffer_vms=1)
    full = [vm(n, 0) for n in range(8)]
    here = cluster([host(0), host(1, pinned=True), host(2, Phase.OFF), host(3, Phase.OFF, pinned=True)], full)
    assert of(decide(here, policy, NOW, RIPE), Wake) == [2]
    roomy = decide(cluster([host(0), host(1, pinned=True), host(2)], full[:4]), policy, NOW, RIPE)
    assert set(of(roomy, PowerOff)) <= {1, 2}
    assert len({0, 2} - set(of(roomy, PowerOff))) >= 1


def test_parallel_wakes_are_bounded() -> None:
    """All hosts at once could trip a breaker."""
    hosts = [host(0), host(1, Phase.WAKING), *(host(n, Phase.OFF) for n in range(2, 9))]
    policy = replace(AUTO, min_hosts=8, max_parallel_on=3)
    assert len(of(decide(cluster(hosts), policy, NOW, Memory()), Wake)) == 2


def test_an_operators_host_is_never_touched() -> None:
    """Somebody may have his hands in it."""
    hosts = [
        host(0),
        host(1),
        host(2, state=HostState.OFFLINE, bmc=Bmc.OFF),
        host(3, state=HostState.DISABLED),
    ]
    waiting = [vm(n, size=SIZE) for n in range(5)]
    decision = decide(cluster(hosts, waiting), AUTO, NOW, RIPE)
    assert not {2, 3} & {action.host for action in decision.actions}
    assert "operator" in decision.reasons[2]
    assert "operator" in decision.reasons[3]


def test_a_host_that_others_switch_on_is_left_alone() -> None:
    """We would fight with a person over a power button."""
    hosts = [host(0), host(1), host(2, Phase.OFF, bmc=Bmc.ON), host(3, Phase.OFF, state=HostState.DISABLED)]
    assert of(decide(cluster(hosts), AUTO, NOW, Memory()), Leave) == [2, 3]
    assert of(decide(cluster([host(0), host(1), host(2, Phase.LEFT)]), AUTO, NOW, RIPE), Leave) == []
    late = decide(cluster([host(0), host(1), host(2, Phase.LEFT)]), AUTO, NOW + 9999, RIPE)
    assert of(late, Drop) == [2]


def test_an_operators_enable_cancels_a_drain() -> None:
    """An operator who wants a host back must not have to fight for it."""
    hosts = [host(n) for n in range(5)] + [host(5, Phase.DRAINING, state=HostState.MONITORED)]
    decision = decide(cluster(hosts), AUTO, NOW, RIPE)
    assert of(decision, Leave) == [5]
    assert 5 not in of(decision, PowerOff)


def test_affine_vms_move_together_or_not_at_all() -> None:
    """A service whose VMs were promised to stand together would be torn apart."""
    pair = [vm(1, 2, together="a"), vm(2, 2, together="a")]
    others = [vm(n, n % 2) for n in range(10, 16)]
    decision = decide(cluster([host(0), host(1), host(2)], pair + others), AUTO, NOW, RIPE)
    assert any(move.vms == (1, 2) for move in decision.plan.moves)
    torn = [vm(1, 2, together="a"), vm(2, 0, together="a")]
    decision = decide(cluster([host(0), host(1), host(2)], torn + others), AUTO, NOW, RIPE)
    assert not any({1, 2} & set(move.vms) for move in decision.plan.moves)


NEVER: list[tuple[str, dict[str, Any]]] = [
    ("no entry in bmc.yaml", {"bmc": Bmc.NONE}),
    ("does not answer", {"bmc": Bmc.SILENT}),
    ("oned reports that it is in use", {"bmc": Bmc.OFF}),
    ("not enrolled", {"record": Record()}),
    ("METHOD is poweroff", {"sleeper": True}),
    ("last proven to wake 40 days ago", {"record": Record(proven=NOW - 40 * 86_400, on_since=0)}),
    ("runs the front-end", {"excluded": "it runs the front-end"}),
    ("on for 1 minutes, MIN_ON_MINUTES is 30", {"record": Record(proven=NOW, on_since=NOW - 60)}),
    (
        "was off 3 times today, CYCLES_PER_DAY is 3",
        {"record": Record(proven=NOW, offs=(NOW - 3, NOW - 2, NOW - 1))},
    ),
    ("scheduled action", {"due": NOW + 120}),
    ("wild", {"wild": 1}),
]


@pytest.mark.parametrize(("said", "change"), NEVER)
def test_hosts_that_are_never_candidates(said: str, change: dict[str, Any]) -> None:
    """Each of these once cost somebody an outage."""
    decision = decide(cluster([host(0), host(1), host(2, **change)]), AUTO, NOW, RIPE)
    assert 2 not in of(decision, PowerOff)
    assert said in decision.reasons[2]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"kind": Kind.PARKED}, "PARKED_VMS"),
        ({"kind": Kind.BUSY}, "changing"),
        ({"fixed": "a PCI device"}, "PCI"),
    ],
)
def test_vms_that_hold_their_host(change: dict[str, Any], said: str) -> None:
    """A VM that cannot move live would be lost or stopped."""
    here = cluster([host(0), host(1), host(2)], [vm(1, 2, **change)])
    decision = decide(here, AUTO, NOW, RIPE)
    assert of(decision, PowerOff) == ([] if 2 in of(decision, PowerOff) else of(decision, PowerOff))
    assert 2 not in of(decision, PowerOff)
    assert said in decision.reasons[2]


def test_parked_vms_move_where_the_policy_says_so() -> None:
    """A powered-off VM would pin its host for ever."""
    here = cluster([host(0), host(1), host(2)], [vm(1, 2, kind=Kind.PARKED), *(vm(n, n - 5) for n in (5, 6))])
    decision = decide(here, replace(AUTO, parked=Parked.MIGRATE), NOW, RIPE)
    assert any(isinstance(action, PowerOff) and action.moves for action in decision.actions)


@pytest.mark.parametrize(
    ("hosts", "changes", "policy", "said"),
    [
        ([], {"held": "OneDRS acts by itself here"}, {}, "OneDRS"),
        ([], {}, {"mode": Mode.OFF}, "MODE is off"),
        ([], {}, {"complaints": ("MODE = 'x'",)}, "cannot be used"),
        ([host(8, state=HostState.ERROR), host(9, state=HostState.ERROR)], {}, {}, "MAX_DOWN_HOSTS"),
        ([host(8, monitored=NOW - 9999)], {}, {}, "stale"),
        ([host(8, bmc=Bmc.SILENT), host(9, bmc=Bmc.SILENT)], {}, {}, "BMCs do not answer"),
    ],
)
def test_nothing_shrinks_in_doubt(
    hosts: list[Host], changes: dict[str, Any], policy: dict[str, Any], said: str
) -> None:
    """A sick or unknown cluster needs every host that it has."""
    here = cluster([host(n) for n in range(5)] + hosts, **changes)
    decision = decide(here, replace(AUTO, **policy), NOW, RIPE)
    assert not of(decision, PowerOff)
    assert said in decision.held
    assert all(decision.reasons.values())


def test_sickness_never_stops_waking() -> None:
    """The cluster that lost hosts is the one that needs the sleeping ones."""
    hosts = [host(0), *(host(n, state=HostState.ERROR) for n in (1, 2, 3)), host(4, Phase.OFF)]
    assert of(decide(cluster(hosts, held="any"), AUTO, NOW, Memory()), Wake) == [4]


def test_mode_off_gives_back_what_was_taken() -> None:
    """Hosts would sleep on with nobody to wake them."""
    hosts = [host(0), host(1), host(2, Phase.OFF), host(3, Phase.DRAINING)]
    decision = decide(cluster(hosts), replace(AUTO, mode=Mode.OFF), NOW, RIPE)
    assert of(decision, Wake) == [2]
    assert of(decision, Return) == [3]


def test_advise_says_and_does_nothing() -> None:
    """Advice that acts is not advice."""
    decision = decide(cluster([host(n) for n in range(6)]), replace(AUTO, mode=Mode.ADVISE), NOW, RIPE)
    assert not decision.actions
    assert len(decision.plan.drains) == 4


def test_migration_budget_bounds_each_round() -> None:
    """Hundreds of migrations an hour would fill the network."""
    vms = [vm(n, n % 6) for n in range(18)]
    here = cluster([host(n) for n in range(6)], vms, migrations=25)
    decision = decide(here, replace(AUTO, max_migrations=30), NOW, RIPE)
    moves = sum(len(action.moves) for action in decision.actions if isinstance(action, PowerOff))
    assert 0 < moves <= 5


def test_buffer_is_capped_and_ignores_tenants_templates() -> None:
    """One giant flavour would forbid every power-off."""
    here = cluster([host(0)], [vm(1, 0, size=Size(10, 10))], flavours=(Size(99_999, 10),))
    assert buffer.wanted(here, Policy(buffer_vms=2)) == ((2, Size(1600, 10), None),)
    grouped = cluster([host(0)], [vm(1, 0, group=105), vm(2, 0, group=1, size=SIZE)])
    assert buffer.wanted(grouped, Policy(buffer_vms=0, group_buffers=((105, 3),))) == ((3, FLAVOUR, None),)


PHASES = st.sampled_from([None, None, None, *Phase])


@st.composite
def clusters(draw: st.DrawFn) -> Cluster:
    """Draw clusters in every mixture of states."""
    count = draw(st.integers(1, 8))
    hosts = []
    for number in range(count):
        usual = host(number, draw(PHASES))
        state = draw(st.sampled_from([usual.state] * 6 + list(HostState)))
        bmc = draw(st.sampled_from([usual.bmc] * 6 + list(Bmc)))
        hosts.append(replace(usual, state=state, bmc=bmc, wild=int(draw(st.integers(0, 9)) == 9)))
    vms = [
        vm(
            number,
            draw(st.integers(-1, count - 1)),
            kind=draw(st.sampled_from([Kind.RUNNING] * 5 + list(Kind))),
            size=draw(st.sampled_from([FLAVOUR, Size(100, 1024), Size(1500, 30_000)])),
        )
        for number in range(draw(st.integers(0, 12)))
    ]
    return cluster(hosts, [replace(g, kind=Kind.PENDING) if g.host < 0 else g for g in vms])


POLICIES = st.builds(
    Policy,
    mode=st.sampled_from(Mode),
    pack=st.booleans(),
    min_hosts=st.integers(0, 4),
    spare_host=st.booleans(),
    buffer_vms=st.integers(0, 2),
    max_parallel_off=st.integers(1, 4),
    max_down_hosts=st.integers(0, 2),
    parked=st.sampled_from(Parked),
)


@given(clusters(), POLICIES)
@settings(max_examples=600, deadline=None)
def test_no_decision_breaks_a_safety_rule(here: Cluster, policy: Policy) -> None:
    """Whatever a cluster looks like: minimum, buffer, parallelism, strangers' hosts, a reason for each."""
    decision = decide(here, policy, NOW, RIPE)
    assert set(decision.reasons) == {h.id for h in here.hosts}
    assert all(decision.reasons.values())
    acted = [action.host for action in decision.actions]
    assert len(acted) == len(set(acted)), "two actions on one host"
    by_id = {h.id: h for h in here.hosts}
    fresh = [n for n in of(decision, PowerOff) if by_id[n].takes_vms]
    assert len(fresh) <= policy.max_parallel_off
    for number in of(decision, Wake):
        assert by_id[number].phase is Phase.OFF
    for number in fresh:
        assert by_id[number].bmc is Bmc.ON
        assert policy.mode is Mode.AUTO
    if fresh:
        check_what_is_left(here, policy, set(of(decision, PowerOff)), decision)


def check_what_is_left(here: Cluster, policy: Policy, leaving: set[int], decision: Decision) -> None:
    """Look at the hosts that take VMs once the decision is carried out."""
    moved = {g: m.target for a in decision.actions if isinstance(a, PowerOff) for m in a.moves for g in m.vms}
    left = [h for h in here.hosts if h.takes_vms and h.id not in leaving]
    assert len(left) >= policy.min_hosts
    free = {}
    for item in left:
        there = [g for g in here.vms if g.kind is not Kind.PENDING and moved.get(g.id, g.host) == item.id]
        free[item.id] = item.size - sum((g.size for g in there), ZERO)
    for number, size, _ in buffer.wanted(here, policy):
        assert sum(size.times_in(room) for room in free.values()) >= number
