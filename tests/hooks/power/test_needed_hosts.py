"""Which VMs ask for a host, how often, and which hosts may come for them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from hooks.power import needed_hosts
from hooks.power.needed_hosts import Demand, Situation, Wakes
from hooks.power.policy import Policy
from onext.hosts.energy import Curve
from onext.hosts.model import Host, Kind, Phase, Record, Vm
from onext.hosts.placement.problem import ZERO, Size
from onext.oned.objects import HostState
from tests.hooks.power.test_decide import AUTO, FLAVOUR, NOW, SIZE, cluster, host, vm


@pytest.mark.parametrize(
    ("count", "since", "may"),
    [
        (0, 0.0, True),
        (1, 119.9, False),
        (1, 120.0, True),
        (2, 239.9, False),
        (2, 240.0, True),
        (3, 479.9, False),
        (3, 480.0, True),
        (4, 1e6, False),
    ],
)
def test_a_vm_wakes_hosts_ever_more_seldom(count: int, since: float, may: bool) -> None:
    """A VM that fits on no host would switch one on every two minutes, all night."""
    assert Wakes(count, NOW - since).may_wake(Policy(wakes_per_vm=4), NOW) is may


def test_what_waits_is_pending_or_on_a_host_in_error() -> None:
    """VMs of a failed host would get no room, or a parked one would wake a host for nothing."""
    hosts = [host(0), host(1, state=HostState.ERROR), host(2, state=HostState.MONITORING_ERROR)]
    vms = [
        vm(1, 0), vm(2, 1), vm(3, 2), vm(4, 1, kind=Kind.PARKED), vm(5, 1, kind=Kind.BUSY),
        vm(6, since=NOW - 5), vm(7, since=NOW - 9), vm(8, 77),
    ]  # fmt: skip
    here = cluster(hosts, vms)
    found = needed_hosts.waiting(here, {one.id: one for one in here.hosts})
    assert [(one.id, one.host, one.since) for one in found] == [
        (2, -1, 0.0), (3, -1, 0.0), (5, -1, 0.0), (7, -1, NOW - 9), (6, -1, NOW - 5),
    ]  # fmt: skip


def test_a_pending_vm_is_overdue_after_its_time_only() -> None:
    """A VM that no host can take would be counted in each decision, or one that just began to wait not at all."""
    situation = Situation(cluster([]), Policy(vm_wait_timeout=900.0), NOW, {})
    assert not needed_hosts.overdue(vm(1, since=NOW - 900), situation)
    assert needed_hosts.overdue(vm(1, since=NOW - 901), situation)
    assert not needed_hosts.overdue(vm(1, 0, since=NOW - 901), situation)


def _claimed(phase: Phase | None, **changes: object) -> Host:
    one = host(1, phase)
    claim = replace(one.claim, **changes) if one.claim else None  # type: ignore[arg-type]
    return replace(one, claim=claim)


@pytest.mark.parametrize("phase", [None, *Phase])
def test_only_what_power_took_by_itself_may_come(phase: Phase | None) -> None:
    """A host that a person switched off would start under the hands of who works on it."""
    may = phase in (Phase.DRAINING, Phase.CLOSING, Phase.OFF)
    assert needed_hosts.may_come(_claimed(phase)) is may
    assert not needed_hosts.may_come(_claimed(phase, by_hand=True))


@pytest.mark.parametrize("phase", [None, *Phase])
def test_a_host_that_failed_to_wake_is_not_counted_on(phase: Phase | None) -> None:
    """A VM would wait for a host that never comes, while others sleep."""
    assert needed_hosts.coming(_claimed(phase)) is (phase in (Phase.RETURNING, Phase.WAKING))
    assert needed_hosts.coming(_claimed(phase, failures=1)) is (phase is Phase.RETURNING)


LEAN = Curve((50.0, 250.0))
ALONE = replace(AUTO, min_hosts=0, buffer_vms=0)  # nothing is asked for but what VMs need


def needs(hosts: list[Host], vms: list[Vm], policy: Policy = ALONE, **wakes: Wakes) -> Demand:
    """Return what is brought, where `w9=Wakes(…)` are the hosts that VM 9 has had woken."""
    told = {int(name[1:]): value for name, value in wakes.items()}
    return needed_hosts.find_hosts(Situation(cluster(hosts, vms), policy, NOW, told))


@pytest.mark.parametrize(
    ("one", "two", "first"),
    [
        ({"phase": Phase.OFF, "curve": LEAN}, {"phase": Phase.DRAINING}, 2),
        ({"phase": Phase.OFF}, {"phase": Phase.OFF, "curve": LEAN}, 2),
        ({"phase": Phase.OFF}, {"phase": Phase.OFF, "size": Size(1600, 131_072)}, 2),
        ({"phase": Phase.OFF}, {"phase": Phase.OFF, "record": Record(boot_seconds=60.0)}, 2),
        ({"phase": Phase.OFF}, {"phase": Phase.OFF}, 1),
    ],
)
def test_the_host_that_comes_soonest_and_draws_least_comes_first(
    one: dict[str, Any], two: dict[str, Any], first: int
) -> None:
    """A VM would wait for a boot that a drain can spare it, or the hungriest host be woken."""
    asleep = [host(number, **how) for number, how in ((1, one), (2, two))]
    assert list(needs(asleep, [vm(9)]).bring) == [first]


def test_a_host_of_which_nothing_is_known_comes_last() -> None:
    """It takes no VM, and the next one would wait for a second boot."""
    asleep = [host(1, Phase.OFF, size=ZERO), host(2, Phase.OFF)]
    assert list(needs(asleep, [], replace(ALONE, min_hosts=1)).bring) == [2]


@pytest.mark.parametrize(
    ("vms", "brought", "placed", "unplaced"),
    [
        ([vm(9)], {}, [9], []),
        ([vm(9, size=SIZE)], {}, [9], []),
        ([vm(9, size=SIZE), vm(10)], {1: 10}, [9, 10], []),
        ([vm(9, size=Size(1601, 1))], {}, [], [9]),
        ([vm(9, hosts=frozenset({2}))], {2: 9}, [9], []),
        ([vm(9, hosts=frozenset())], {}, [], [9]),
        ([vm(n, apart=frozenset({"g"})) for n in (9, 10, 11, 12)], {1: 10, 2: 11}, [9, 10, 11], [12]),
        ([vm(9, size=SIZE), vm(10, size=SIZE), vm(11, size=SIZE), vm(12, size=SIZE)], {1: 10, 2: 11},
         [9, 10, 11], [12]),
    ],
)  # fmt: skip
def test_hosts_come_for_vms_that_fit_nowhere_else(
    vms: list[Vm], brought: dict[int, int], placed: list[int], unplaced: list[int]
) -> None:
    """A VM would wait for ever beside hosts that sleep, or wake one on which it does not fit."""
    demand = needs([host(0), host(1, Phase.OFF), host(2, Phase.OFF)], vms)
    assert {host: vm for vm, host in demand.for_vms.items()} == brought
    assert list(demand.bring) == sorted(brought)
    assert [one.id for one in demand.placed] == placed
    assert [one.id for one in demand.unplaced] == unplaced


def test_a_vm_goes_where_least_is_left_and_room_is_taken_once() -> None:
    """Room for large VMs would be frittered away by small ones, and a host be woken for them."""
    hosts = [host(0), host(1), host(2, Phase.OFF)]
    full = [vm(n, 1) for n in range(4)]  # half of host 1
    large = vm(11, since=NOW - 1, size=SIZE)
    assert needs(hosts, [*full, *(vm(n) for n in (7, 8, 9, 10)), large]).bring == {}
    assert list(needs(hosts, [*full, *(vm(n) for n in (6, 7, 8, 9, 10)), large]).bring) == [2]


def test_vms_that_were_lost_may_wake_hosts_at_once() -> None:
    """A VM that had its share of wakes would stay down with its host."""
    hosts = [host(0, state=HostState.ERROR), host(1, Phase.OFF)]
    assert list(needs(hosts, [vm(9, 0)], w9=Wakes(3, NOW)).bring) == [1]
    assert needs(hosts, [vm(9)], w9=Wakes(3, NOW)).bring == {}
    hosts[1] = host(1, Phase.DRAINING)
    assert list(needs(hosts, [vm(9)], w9=Wakes(3, NOW)).bring) == [1], "one that is on costs no boot"


def test_a_vm_that_waits_too_long_beside_room_takes_none() -> None:
    """The scheduler does not place it; the room that it never takes would be missing for others."""
    late = vm(9, since=NOW - 901, size=SIZE)
    demand = needs([host(0), host(1, Phase.OFF)], [late, vm(10, size=SIZE)])
    assert ([one.id for one in demand.overdue], [one.id for one in demand.placed]) == ([9], [10])
    assert demand.bring == {}


@pytest.mark.parametrize(
    ("policy", "vms", "brought", "missing"),
    [
        ({"buffer_vms": 8}, [], 0, 0),
        ({"buffer_vms": 9}, [], 1, 0),
        ({"buffer_vms": 16}, [], 1, 0),
        ({"buffer_vms": 17}, [], 2, 0),
        ({"buffer_vms": 26}, [], 2, 2),
        ({"buffer_size": SIZE}, [], 0, 0),
        ({"buffer_size": Size(1601, 1)}, [], 1, 0),
        ({"buffer_size": Size(3200, 131_072)}, [], 1, 0),
        ({"buffer_size": Size(3201, 131_072)}, [], 2, 0),
        ({"buffer_size": Size(9999, 1)}, [], 2, 0),
        ({"spare_host": True}, [], 0, 0),
        ({"spare_host": True}, [vm(1, 0)], 1, 0),
        ({"min_hosts": 1}, [], 0, 0),
        ({"min_hosts": 2}, [], 1, 0),
        ({"min_hosts": 9}, [], 2, 0),
    ],
)
def test_the_reserve_brings_as_many_hosts_as_it_needs(
    policy: dict[str, Any], vms: list[Vm], brought: int, missing: int
) -> None:
    """The next VMs would wait for a boot, or hosts be woken for nothing."""
    hosts = [host(0), host(1, Phase.OFF), host(2, Phase.OFF)]
    here = replace(cluster(hosts, vms), flavours=(FLAVOUR,))
    demand = needed_hosts.find_hosts(Situation(here, replace(ALONE, **policy), NOW, {}))
    assert (list(demand.bring), demand.missing_buffer) == ([1, 2][:brought], missing)


def test_the_buffer_comes_to_hosts_that_may_take_it() -> None:
    """A host for pinned CPUs, or one that is too small, would be woken and the buffer be as short as before."""
    hosts = [
        host(0),
        host(1, Phase.OFF, pinned=True),
        host(2, Phase.OFF, size=Size(100, 1024)),
        host(3, Phase.OFF),
    ]
    here = replace(cluster(hosts, [vm(1, 0, size=SIZE)]), flavours=(FLAVOUR,))
    demand = needed_hosts.find_hosts(Situation(here, replace(ALONE, buffer_vms=1), NOW, {}))
    assert demand.bring == {3: "the buffer for new VMs is short"}


@pytest.mark.parametrize(
    ("count", "policy", "is_short"),
    [
        (7, {"buffer_vms": 1}, False),
        (8, {"buffer_vms": 1}, True),
        (6, {"buffer_vms": 2}, False),
        (7, {"buffer_size": FLAVOUR}, False),
        (7, {"buffer_size": Size(201, 1)}, True),
        (7, {"buffer_vms": 1, "buffer_size": FLAVOUR}, True),
    ],
)
def test_the_buffer_is_short_as_soon_as_one_vm_is_missing(
    count: int, policy: dict[str, Any], is_short: bool
) -> None:
    """Reports would show that nobody waits, or that people always do."""
    here = cluster([host(0), host(1, Phase.WAKING)], [vm(n, 0) for n in range(count)])
    assert needed_hosts.short(here, replace(ALONE, **policy)) is is_short
