"""OneDRS's plan: the worthwhile part is executed by us, the rest is deleted."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from hooks.balance import onedrs
from hooks.balance.model import Limits
from hooks.balance.plan import decide
from onext.oned.errors import Refused
from onext.part import Context
from onext.paths import Paths
from onext.xml import parse
from tests.hooks.balance.test_plan import cluster, ripe, vm

ACTION = (
    "<ACTION><ID>{vm}</ID><VM_ID>{vm}</VM_ID><STATE>{state}</STATE><OPERATION>{operation}</OPERATION>"
    "<HOST_ID>{host}</HOST_ID><DS_ID>{store}</DS_ID><TIMESTAMP>0</TIMESTAMP></ACTION>"
)


def action(vm: int, host: int, operation: str = "migrate", store: int = 100, state: int = 0) -> str:
    """Return an action as OpenNebula 7.4 writes it (Plan.cc)."""
    return ACTION.format(vm=vm, host=host, operation=operation, store=store, state=state)


def plan(*actions: str, state: int = 0) -> dict[int, int] | None:
    """Return what is read of a plan."""
    text = f"<CLUSTER><ID>100</ID><PLAN><ID>100</ID><STATE>{state}</STATE>{''.join(actions)}</PLAN></CLUSTER>"
    found = onedrs.proposed(parse(text), dict.fromkeys(range(10), 100))
    return None if found is None else dict(found)


def test_only_migrations_of_a_ready_plan_are_taken_over() -> None:
    """A deployment, a storage move or a step that oned executes already must not be done twice."""
    found = plan(
        action(1, 2),
        action(2, 2, "deploy"),
        action(3, 2, store=101),
        action(4, 2, state=1),
        action(5, -1),
        action(6, 1, store=-1),
    )
    assert found == {1: 2, 6: 1}
    assert plan(action(1, 2), state=1) is None
    assert plan(action(2, 2, "deploy")) is None
    assert onedrs.proposed(parse("<CLUSTER><ID>100</ID></CLUSTER>"), {}) is None


def test_the_worthwhile_part_of_a_plan_is_accepted_and_nothing_beside_it() -> None:
    """OneDRS weighs a migration hardly at all: each of its moves costs the VM and the network."""
    here = cluster(*(vm(n, 0, 1500) for n in range(5)), vm(8, 1, 600), vm(9, 2, 3900))
    around = replace(ripe(here), proposed={0: 1, 8: 2, 9: 1})
    moves = decide(around, Limits()).moves
    assert [(move.vm, move.target) for move in moves] == [(0, 1)]
    assert not decide(replace(around, proposed={8: 2}), Limits()).moves


def test_a_plan_that_cannot_be_deleted_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever executes it then would move the same VMs a second time."""

    class Oned:
        def call(self, method: str, *_: object) -> int:
            raise Refused(f"{method} is refused")

    monkeypatch.setenv("ONE_LOCATION", str(tmp_path))
    monkeypatch.setattr(Context, "oned", Oned())
    assert "cluster.plandelete is refused" in onedrs.delete(Context(Paths.find()), 100)
