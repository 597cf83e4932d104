"""A host is emptied step by step while its node leaves, with moves that the test plays."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest

from hooks.edge import draining
from hooks.edge.draining import LEAVES, Draining
from onext.hosts import maintenance
from onext.hosts.actions.world import Failed, MoveRefused
from onext.hosts.flush import Step
from onext.hosts.inventory.cluster import ClusterUnreadable
from onext.oned.client import Raft, RaftState
from onext.oned.objects import Host, HostState
from onext.part import Context


class Flushing:
    """The moves of one host."""

    def __init__(self, number: int) -> None:
        self.host, self.refused, self.begun_steps = number, dict[int, str](), list[Step]()

    def steps(self, _cluster: object) -> list[Step]:
        return [Step(1, "vm-1", 9), Step(2, "vm-2", 9)] if not self.begun_steps else []

    def stays(self, _cluster: object) -> dict[int, str]:
        return {2: "is moving", 3: "no room", **self.refused}

    def begun(self, step: Step) -> None:
        self.begun_steps.append(step)


class Cloud:
    """A host with VMs, and what is done with it."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.now, self.done, self.looked = 1000.0, list[tuple[object, ...]](), 0
        self.host: Host | None = Host(4, "edge-1", HostState.MONITORED, 100, "edge", (1, 2, 3), {})
        self.complete, self.problem = False, dict[int, Exception]()
        self.unreadable: Exception | None = None
        raft = Raft(5, RaftState.LEADER, 6)
        self.context = cast("Context", SimpleNamespace(
            oned=SimpleNamespace(raft=lambda: raft), now=lambda: self.now, paths=SimpleNamespace(settings="settings"),
        ))  # fmt: skip
        hosts = SimpleNamespace(
            find=lambda _: self.host, close=lambda host: self.done.append(("close", host.id))
        )
        patch.setattr(draining, "Hosts", lambda _oned: hosts)
        patch.setattr(draining, "Flush", Flushing)
        patch.setattr(draining, "BmcConfig", lambda settings: settings)
        patch.setattr(draining, "Effects", self._effects)
        patch.setattr(draining, "current", self._current)
        patch.setattr(maintenance, "complete", lambda *_: self.complete)
        patch.setattr(
            maintenance, "begin", lambda *words, **named: self.done.append(("maintain", *words[1:], named))
        )
        self.draining = Draining()

    def _current(self, _context: object, number: int) -> SimpleNamespace:
        assert number == 100
        self.looked += 1
        if self.unreadable:
            raise self.unreadable
        return SimpleNamespace()

    def _effects(self, *words: object) -> SimpleNamespace:
        assert words[1:] == ("settings", 5, 6)
        return SimpleNamespace(migrate=self._migrate)

    def _migrate(self, vm: int, host: int, target: int) -> bool:
        self.done.append(("move", vm, host, target))
        if vm in self.problem:
            raise self.problem[vm]
        return True

    def step(self) -> dict[int, str]:
        """Take one step."""
        return self.draining.step(self.context, 4)

    @property
    def flush(self) -> Any:
        """The moves of the host."""
        return self.draining.hosts[4].flush


@pytest.fixture
def cloud(monkeypatch: pytest.MonkeyPatch) -> Cloud:
    """Return a host with three VMs."""
    return Cloud(monkeypatch)


def test_a_host_is_in_maintenance_and_closed_before_a_vm_moves(cloud: Cloud) -> None:
    """Its silence would count as a failure, and the scheduler place new VMs on it."""
    assert cloud.step() == {1: "it is moved", 2: "it is moved", 3: "no room"}
    assert cloud.done == [
        ("maintain", 4, "edge-1", LEAVES, {"closed": False}), ("close", 4), ("move", 1, 4, 9), ("move", 2, 4, 9),
    ]  # fmt: skip
    assert [step.vm for step in cloud.flush.begun_steps] == [1, 2]
    cloud.complete = True
    cloud.done.clear()
    cloud.now += 3
    cloud.step()
    assert cloud.done == [("close", 4)], "nothing is begun twice"


@pytest.mark.parametrize(
    ("state", "closed"),
    [(HostState.MONITORED, False), (HostState.DISABLED, True), (HostState.MONITORING_DISABLED, True), (HostState.ERROR, False)],
)  # fmt: skip
def test_a_host_that_somebody_closed_stays_closed(cloud: Cloud, state: HostState, closed: bool) -> None:
    """The end of the maintenance would open a host that a person closed."""
    cloud.host = Host(4, "edge-1", state, 100, "edge", (1,), {})
    cloud.step()
    assert cloud.done[0] == ("maintain", 4, "edge-1", LEAVES, {"closed": closed})


def test_all_pools_are_read_every_few_seconds_only(cloud: Cloud) -> None:
    """A node asks each second: oned would do nothing else."""
    for later, looked in ((0.0, 1), (2.9, 1), (0.1, 2), (2.9, 2), (0.2, 3)):
        cloud.now += later
        assert cloud.step()[3] == "no room", "the reason is remembered"
        assert cloud.looked == looked


def test_an_empty_host_or_none_is_done(cloud: Cloud) -> None:
    """A node whose host a person deleted could never leave."""
    cloud.step()
    cloud.host = Host(4, "edge-1", HostState.DISABLED, 100, "edge", (), {})
    cloud.done.clear()
    assert cloud.step() == {}
    assert cloud.draining.hosts == {}, "the next leave begins anew"
    assert ("close", 4) in cloud.done
    cloud.host = None
    cloud.done.clear()
    assert cloud.step() == {}
    assert cloud.done == []


def test_a_vm_that_oned_does_not_move_stays_with_the_reason(cloud: Cloud) -> None:
    """A person at the node would not learn what to do; the others must go on."""
    cloud.problem = {1: MoveRefused("no such datastore"), 2: Failed("no answer")}
    cloud.step()
    assert cloud.flush.refused == {1: "no such datastore"}
    assert [step.vm for step in cloud.flush.begun_steps] == [2], "after a failure it may have come about"
    cloud.now += 3
    assert cloud.step() == {1: "no such datastore", 2: "is moving", 3: "no room"}


@pytest.mark.parametrize("problem", [ClusterUnreadable("a VM"), KeyError(100)])
def test_a_cluster_that_cannot_be_read_keeps_its_vms(cloud: Cloud, problem: Exception) -> None:
    """A guess would move VMs to where they cannot run."""
    cloud.unreadable = problem
    reasons = cloud.step()
    assert set(reasons) == {1, 2, 3}
    assert all(why.startswith("its cluster cannot be read: ") for why in reasons.values())
    assert [one for one in cloud.done if one[0] == "move"] == []


@pytest.mark.parametrize(
    ("order", "ended"),
    [
        (None, False), (SimpleNamespace(value=None), False), (SimpleNamespace(value=SimpleNamespace(who="alice")), False),
        (SimpleNamespace(value=SimpleNamespace(who=LEAVES)), True),
    ],
)  # fmt: skip
def test_only_its_own_maintenance_is_ended(
    cloud: Cloud, order: object, ended: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A person's maintenance of a host would end because its node is revoked."""
    found: list[int] = []
    monkeypatch.setattr(maintenance, "order", lambda *_: order)
    monkeypatch.setattr(maintenance, "end", lambda _context, number: found.append(number))
    draining.let_go(cloud.context, 4)
    assert found == ([4] if ended else [])
