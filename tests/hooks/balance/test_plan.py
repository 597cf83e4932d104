"""Balancing: who is loaded, what is moved, and how seldom."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hooks.balance.model import Limits, Past, Plan, Situation, Use
from hooks.balance.plan import HOUR, Load, decide, spread
from onext.hosts.model import Claim, Cluster, Host, Kind, Phase, Vm
from onext.hosts.placement.problem import ZERO, Size
from onext.oned.objects import HostState

ROOM = Size(3200, 10_000)
NOW = 1_800_000_000.0


def cluster(*vms: Vm, hosts: int = 3, size: Size = ROOM) -> Cluster:
    return Cluster(
        100, "alpha", tuple(Host(n, f"n-{n}", HostState.MONITORED, size) for n in range(hosts)), vms
    )


def vm(number: int, host: int, memory: int, cpu: int = 10, **changes: object) -> Vm:
    made = Vm(number, f"vm-{number}", Size(cpu, memory), Kind.RUNNING, host)
    return replace(made, **changes)  # type: ignore[arg-type]


def used(here: Cluster) -> Use:
    """Return a use of exactly what is reserved."""
    hosts = {n: sum((x.size for x in vms), ZERO) for n, vms in here.by_host().items()}
    return Use(hosts, {x.id: x.size for x in here.vms})


def ripe(here: Cluster) -> Situation:
    """Return a situation in which every host has been loaded for long."""
    return Situation(here, used(here), Past({host.id: 9 for host in here.hosts}), NOW)


def test_the_example_of_the_rule() -> None:
    """0.75 > 0.40 + 0.1 is loaded; 0.06 < 0.50 takes VMs: a wrong sign would move VMs onto the full host."""
    here = cluster(vm(1, 0, 7500), vm(2, 1, 600), vm(3, 2, 3900))
    load = Load(ripe(here))
    assert load.average[1] == pytest.approx(0.40)
    assert load.loaded(0.1) == [0]
    assert load.shares(1)[1] == pytest.approx(0.06)


def test_a_loaded_host_gives_vms_to_those_that_are_not() -> None:
    """That is what balancing is for."""
    here = cluster(*(vm(n, 0, 1500) for n in range(5)), vm(8, 1, 600), vm(9, 2, 3900))
    plan = decide(ripe(here), Limits())
    assert plan.moves
    assert {move.source for move in plan.moves} == {0}
    assert plan.moves[0].target == 1
    assert "memory of host 0 is used to 75%" in plan.moves[0].reason


def test_three_rounds_pass_before_anything_moves() -> None:
    """A short peak is over before the migration is; moving for it doubles the load."""
    here = cluster(*(vm(n, 0, 1500) for n in range(5)), vm(8, 1, 600))
    past, plans = Past(), list[Plan]()
    for _ in range(3):
        plans.append(decide(Situation(here, used(here), past, NOW), Limits()))
        past = plans[-1].past
    assert [bool(plan.moves) for plan in plans] == [False, False, True]
    assert "1 of 3 rounds" in plans[0].held
    calm = decide(Situation(here, Use(dict.fromkeys(range(3), ZERO), {}), past, NOW), Limits())
    assert not calm.past.loaded


@pytest.mark.parametrize(
    "changes",
    [
        {"fixed": "ONEDRS_BLOCKED is set"},
        {"kind": Kind.PARKED},
        {"kind": Kind.BUSY},
        {"together": "1/web"},
        {"hosts": frozenset({0})},
    ],
)
def test_what_may_not_move_is_left(changes: dict[str, Any]) -> None:
    """Powered-off VMs use nothing, and a blocked VM was blocked on purpose."""
    here = cluster(*(replace(vm(n, 0, 1500), **changes) for n in range(5)), vm(8, 1, 600))
    assert not decide(ripe(here), Limits()).moves


def test_hosts_that_do_not_take_vms_count_nowhere() -> None:
    """A host that power empties must not be filled again."""
    here = cluster(*(vm(n, 0, 1500) for n in range(5)), vm(8, 1, 600))
    claim = Claim(Phase.DRAINING, NOW)
    held = replace(here, hosts=tuple(replace(host, claim=claim) if host.id else host for host in here.hosts))
    assert not decide(ripe(held), Limits()).moves


def test_held_is_held_and_the_rounds_begin_anew() -> None:
    """While OneDRS or power decides on the cluster, a second planner would work against it."""
    here = cluster(*(vm(n, 0, 1500) for n in range(5)), vm(8, 1, 600))
    plan = decide(replace(ripe(here), held="OneDRS is applying a plan here"), Limits())
    assert (plan.moves, plan.held, plan.past.loaded) == ((), "OneDRS is applying a plan here", {})


def test_the_hourly_limit_counts_what_was_moved_before() -> None:
    """Each migration loads the network; ten an hour must not become ten a minute."""
    here = cluster(*(vm(n, 0, 500) for n in range(15)), vm(90, 1, 600))
    first = decide(ripe(here), Limits(moves_per_hour=2))
    assert len(first.moves) == 2
    moved = {100 + n: NOW - 60 for n in range(2)}
    later = decide(replace(ripe(here), past=Past({0: 9}, moved)), Limits(moves_per_hour=2))
    assert (later.moves, "during the last hour" in later.held) == ((), True)


def test_a_move_that_costs_much_for_little_is_not_made() -> None:
    """A VM of 7 GiB that uses nearly nothing lessens no load."""
    here = cluster(vm(1, 0, 7000), vm(8, 1, 600))
    use = Use({0: Size(0, 7000), 1: Size(0, 600), 2: ZERO}, {1: Size(1, 20), 8: Size(1, 600)})
    assert not decide(replace(ripe(here), use=use), Limits()).moves


LISTS = st.lists(st.tuples(st.integers(0, 3), st.integers(50, 3000), st.integers(1, 800)), max_size=24)


@given(LISTS, st.integers(1, 12))
def test_balancing_ends_and_never_makes_it_worse(given: list[tuple[int, int, int]], moves: int) -> None:
    """A planner without memory moves the same VM to and fro; each move must lessen the load, each VM once."""
    here = cluster(*(vm(n, *one) for n, one in enumerate(given)), hosts=4)
    limits = Limits(moves_per_hour=moves)
    past, now, last = Past(dict.fromkeys(range(4), 9)), NOW, dict[int, float]()
    for _ in range(12):
        situation = Situation(here, used(here), past, now)
        before = max((Load(situation).excess(n) for n in range(4)), default=0.0)
        plan = decide(situation, limits)
        if not plan.moves:
            break
        for move in plan.moves:
            assert now - last.get(move.vm, -2 * HOUR) >= limits.rest
            last[move.vm] = now
        to = {move.vm: move.target for move in plan.moves}
        here = replace(here, vms=tuple(replace(x, host=to.get(x.id, x.host)) for x in here.vms))
        after = max(Load(Situation(here, used(here), past, now)).excess(n) for n in range(4))
        assert after <= before + 1e-9
        past = Past(dict.fromkeys(range(4), 9), {**plan.past.moved, **dict.fromkeys(to, now)})
        now += 60
    assert sum(now - at < HOUR for at in last.values()) <= moves


CASES = Path(os.environ.get("ONEXT_SHARED", "../shared")) / "data/planner"


@pytest.mark.skipif(not CASES.is_dir(), reason="the planner cases are not here")
@pytest.mark.parametrize("name", ["hom-20-150", "het-20-150", "hom-50-500"])
def test_the_fullest_host_comes_closer_to_the_cluster(name: str) -> None:
    """On clusters of the size that people have, a few moves must take the peak away."""
    here, use = case(CASES / f"{name}.json")
    limits = Limits(moves_per_hour=100)
    plan = decide(Situation(here, use, Past({host.id: 9 for host in here.hosts}), NOW), limits)
    to = {move.vm: move.target for move in plan.moves}
    after = replace(here, vms=tuple(replace(x, host=to.get(x.id, x.host)) for x in here.vms))
    assert len(to) == len(plan.moves) <= 100
    assert spread(after, used(after).hosts) < limits.approx + 0.02 < spread(here, use.hosts)


def case(file: Path) -> tuple[Cluster, Use]:
    """Return a cluster of the planner's cases, of which every second host gave 40 % of its VMs to the one before.

    A VM uses what it reserves.
    """
    document = json.loads(file.read_text())
    hosts = tuple(
        Host(h["id"], f"n-{h['id']}", HostState.MONITORED, Size(round(100 * h["cpu"]), h["mem"]))
        for h in document["hosts"]
    )
    vms = tuple(
        Vm(v["id"], f"vm-{v['id']}", Size(round(100 * v["cpu"]), v["mem"]), Kind.RUNNING, drifted(v))
        for v in document["vms"]
    )
    here = Cluster(100, document["name"], hosts, vms)
    return here, used(here)


def drifted(vm: Mapping[str, int]) -> int:
    """Return on which host a VM of a case is after it was left unbalanced."""
    return vm["host"] - (vm["host"] % 2 and vm["id"] % 5 < 2)
