"""Balancing over a week: it lessens the load's spread, seldom, and moves no VM to and fro."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hooks.balance.model import Limits
from hooks.balance.plan import HOUR
from onext.hosts.placement.problem import Size
from tests.hooks.balance.made import made
from tests.hooks.balance.test_plan import cluster, vm
from tests.hooks.balance.week import DAY, Week

HOST = Size(3200, 128 * 1024)


def uneven(sizes: list[int], hosts: int) -> Week:
    """Return a cluster in which half of the hosts have all VMs."""
    vms = [vm(n, n % max(1, hosts // 2), gib * 1024, cpu=100) for n, gib in enumerate(sizes)]
    return Week(cluster(*vms, hosts=hosts, size=HOST), Limits())


def test_a_week_of_daily_load_is_balanced_with_few_moves() -> None:
    """Moves cost the network and the VMs: after the first day there must be hardly any."""
    sizes = [8 + 4 * (n % 4) for n in range(40)]
    left = uneven(sizes, 10).run(7, balanced=False)
    found = uneven(sizes, 10).run(7)
    assert found.mean_spread() < left.mean_spread() / 2
    assert found.mean_spread() < Limits().approx + 0.02
    later = [move for when, move in found.moves if when > found.moves[0][0] + DAY]
    assert len(later) <= 6 * 4, f"{len(later)} moves in six days"


@given(
    st.lists(st.sampled_from([2, 4, 8, 16, 32]), min_size=4, max_size=24),
    st.integers(2, 6),
    st.integers(0, 99),
)
@settings(max_examples=25, deadline=None, derandomize=True)
def test_no_vm_moves_twice_within_an_hour(sizes: list[int], hosts: int, seed: int) -> None:
    """Such balancers are known to move a VM to and fro; each move slows it down."""
    week = uneven(sizes, hosts)
    week.seed = seed
    week.run(1)
    last: dict[int, float] = {}
    for when, move in week.moves:
        assert when - last.get(move.vm, 0.0) >= HOUR, move
        last[move.vm] = when
    hours = [when // HOUR for when, _ in week.moves]
    assert all(hours.count(hour) <= 2 * Limits().moves_per_hour for hour in set(hours))


@pytest.mark.parametrize(("hosts", "count"), [(10, 80), (20, 150)])
def test_a_cluster_that_drifted_apart_is_balanced_within_two_days(hosts: int, count: int) -> None:
    """The limits as shipped would leave it as it is, or move more than half of it about."""
    here, _ = made(hosts, count)
    left = Week(here, Limits()).run(2, balanced=False)
    found = Week(here, Limits()).run(2)
    assert found.mean_spread() < Limits().approx + 0.02 < left.mean_spread()
    assert found.gib < sum(one.size.memory for one in here.vms) / 1024 / 2
    last: dict[int, float] = {}
    for when, move in found.moves:
        assert when - last.get(move.vm, 0.0) >= HOUR, move
        last[move.vm] = when


if __name__ == "__main__":
    for hosts, count in ((10, 40), (50, 400)):
        sizes = [8 + 4 * (n % 4) for n in range(count)]
        left, found = uneven(sizes, hosts).run(7, balanced=False), uneven(sizes, hosts).run(7)
        print(
            f"{hosts} hosts, {count} VMs: mean spread {left.mean_spread():.3f} -> {found.mean_spread():.3f}, "
            f"{len(found.moves)} moves ({len(found.moves) / 7:.1f} a day), {found.gib:.0f} GiB"
        )
