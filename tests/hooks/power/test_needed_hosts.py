"""Which VMs ask for a host, how often, and which hosts may come for them."""

from __future__ import annotations

from dataclasses import replace

import pytest

from hooks.power import needed_hosts
from hooks.power.needed_hosts import Situation, Wakes
from hooks.power.policy import Policy
from onext.hosts.model import Host, Kind, Phase
from onext.oned.objects import HostState
from tests.hooks.power.test_decide import NOW, cluster, host, vm


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
