"""What the planner is asked: which hosts it may fill and empty, which VMs it may move, what must stay free."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from hooks.power.needed_hosts import Demand
from hooks.power.placement_problem import problem, reasons
from hooks.power.policy import Parked, Policy
from onext.hosts.model import Claim, Host, Kind, Phase, Vm
from onext.hosts.placement.problem import Load, Problem, Size
from onext.oned.objects import HostState
from tests.hooks.power.test_decide import AUTO, FLAVOUR, NOW, SIZE, cluster, host, vm


def asked(
    hosts: list[Host], vms: Sequence[Vm] = (), policy: Policy = AUTO, demand: Demand | None = None
) -> Problem:
    here = cluster(hosts, list(vms))
    return problem(here, policy, demand or Demand(), reasons(here, policy, NOW))


def load(vms: list[Vm], policy: Policy = AUTO, **how: Any) -> Load:
    """Return the load that these VMs of host 0 are, which has to be a single one."""
    (found,) = asked([host(0, **how), host(1)], vms, policy).loads
    return found


def test_only_hosts_that_take_vms_or_are_being_emptied_are_put_to_it() -> None:
    """VMs would be planned onto hosts that sleep, or onto one that a person empties."""
    by_hand = Claim(Phase.DRAINING, NOW, asked=NOW, by_hand=True)
    hosts = [
        host(0),
        host(1, Phase.DRAINING),
        host(2, Phase.OFF),
        host(3, state=HostState.DISABLED),
        host(4, Phase.DRAINING, claim=by_hand),
        host(5, Phase.LEFT, state=HostState.MONITORED),
        host(6, Phase.CLOSING),
    ]
    slots = asked(hosts).slots
    assert [(slot.id, slot.eager, slot.keep) for slot in slots] == [
        (0, False, False), (1, True, False), (5, False, True),
    ]  # fmt: skip


@pytest.mark.parametrize(("pack", "limit"), [(True, Size(1200, 49_152)), (False, SIZE)])
def test_hosts_are_filled_up_to_the_target(pack: bool, limit: Size) -> None:
    """VMs would be packed until none has a core for its peak."""
    policy = replace(AUTO, pack=pack, target_utilisation=0.75)
    (slot,) = asked([host(0)], policy=policy).slots
    assert (slot.size, slot.limit, slot.watts) == (SIZE, limit, 88.2)


def test_what_waits_and_one_flavour_more_than_the_buffer_must_stay_free() -> None:
    """A host would go off and come back for the next VM; the second threshold prevents that."""
    demand = Demand(placed=[vm(9, size=Size(100, 1), hosts=frozenset({0}))])
    policy = replace(AUTO, buffer_vms=2, buffer_size=Size(1, 2), spare_host=True, min_hosts=3)
    reserve = asked([host(0)], [vm(1, 0)], policy, demand).reserve
    assert reserve.buffer == ((1, Size(100, 1), frozenset({0})), (3, FLAVOUR, None))
    assert (reserve.free, reserve.spare_host, reserve.min_slots) == (Size(1, 2), True, 3)


@pytest.mark.parametrize(
    ("change", "policy", "how", "fixed"),
    [
        ({}, {}, {}, False),
        ({}, {"pack": False}, {}, True),
        ({"fixed": "it is locked"}, {}, {}, True),
        ({"kind": Kind.BUSY}, {}, {}, True),
        ({"kind": Kind.BUSY}, {}, {"phase": Phase.DRAINING}, False),
        ({"kind": Kind.BUSY}, {"pack": False}, {"phase": Phase.DRAINING}, True),
        ({"kind": Kind.PARKED}, {}, {}, True),
        ({"kind": Kind.PARKED}, {"parked": Parked.MIGRATE}, {}, False),
        ({"kind": Kind.PARKED, "fixed": "it is locked"}, {"parked": Parked.MIGRATE}, {}, True),
    ],
)
def test_which_vms_may_move(
    change: dict[str, Any], policy: dict[str, Any], how: dict[str, Any], fixed: bool
) -> None:
    """A VM would be moved in the middle of a change of its state, or one that could move hold its host."""
    assert load([vm(1, 0, **change)], replace(AUTO, **policy), **how).fixed is fixed


def test_vms_that_belong_together_are_one_load() -> None:
    """A service would be torn apart, or moved to where one of its VMs may not be."""
    pair = [
        vm(1, 0, together="a", hosts=frozenset({0, 1}), apart=frozenset({"x"})),
        vm(2, 0, together="a", hosts=frozenset({1, 2}), apart=frozenset({"y"})),
        vm(3, 0, together="a"),
    ]
    found = load(pair)
    assert (found.vms, found.slot, found.size, found.cost) == ((1, 2, 3), 0, Size(600, 24_576), 24.0)
    assert (found.hosts, found.apart, found.fixed) == (frozenset({1}), frozenset({"x", "y"}), False)
    assert load([vm(3, 0, together="a")]).hosts is None
    fixed = load([*pair[:2], replace(pair[2], fixed="it is locked")])
    assert fixed.fixed, "the others may not leave it"


@pytest.mark.parametrize(
    ("other", "fixed"),
    [
        (vm(2, 1, together="a"), True),
        (vm(2, together="a"), False),
        (vm(2, 1, together="b"), False),
        (vm(2, 1), False),
    ],
)
def test_vms_that_are_apart_and_belong_together_are_left(other: Vm, fixed: bool) -> None:
    """A move of one of them could make it worse; one that waits is nowhere yet."""
    loads = asked([host(0), host(1)], [vm(1, 0, together="a"), other]).loads
    assert [one.fixed for one in loads if one.vms == (1,)] == [fixed]
