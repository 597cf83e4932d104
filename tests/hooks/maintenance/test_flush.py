"""Emptying a host: what moves, in which order, and what a person is told about the rest."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from onext.hosts.flush import MOST_TRIES, Flush
from onext.hosts.model import Cluster, Host, Kind, Vm
from onext.hosts.placement.problem import Size
from onext.oned.objects import HostState

ROOM = Size(800, 8192)


def host(number: int, size: Size = ROOM, state: HostState = HostState.MONITORED) -> Host:
    return Host(number, f"node-{number}", state, size)


def vm(number: int, at: int, memory: int = 1024, **changes: object) -> Vm:
    made = Vm(number, f"vm-{number}", Size(100, memory), Kind.RUNNING, at)
    return replace(made, **changes)  # type: ignore[arg-type]


def cluster(*vms: Vm, hosts: int = 3) -> Cluster:
    return Cluster(100, "alpha", tuple(map(host, range(hosts))), vms)


def carried_out(here: Cluster, flush: Flush, *, failing: frozenset[int] = frozenset()) -> Cluster:
    """Follow a flush to its end; migrations of `failing` VMs end where they began."""
    for _ in range(200):
        steps = flush.steps(here)
        if not steps and not flush.moving(here):
            return here
        to = {step.vm: step.target for step in steps}
        for step in steps:
            flush.begun(step)
        busy = tuple(replace(x, kind=Kind.BUSY, host=to[x.id]) if x.id in to else x for x in here.vms)
        assert flush.moving(replace(here, vms=busy)) == len(steps)
        done = (
            replace(x, kind=Kind.RUNNING, host=flush.host if x.id in failing else x.host) if x.id in to else x
            for x in busy
        )
        here = replace(here, vms=tuple(done))
    raise AssertionError("the flush does not end")


def test_running_vms_go_first_and_the_largest_of_them() -> None:
    """A large VM that comes last finds the room taken by small ones."""
    here = cluster(vm(1, 0, kind=Kind.PARKED, memory=4096), vm(2, 0), vm(3, 0, memory=2048))
    assert [step.vm for step in Flush(0, parallel=9).steps(here)] == [3, 2, 1]
    assert [step.vm for step in Flush(0, parallel=1).steps(here)] == [3]


def test_what_stays_has_its_reason() -> None:
    """A person who opens the machine must know what still runs on it, and why."""
    here = cluster(
        vm(1, 0, fixed="it has a PCI device"),
        vm(2, 0, memory=9000),
        vm(3, 0, hosts=frozenset({0})),
        vm(4, 0, kind=Kind.BUSY),
        vm(5, 0),
    )
    flush = Flush(0, parallel=9)
    flush.refused[5] = "locked"
    assert not flush.steps(here)
    assert flush.stays(here) == {
        1: "it has a PCI device",
        2: "none of the 2 hosts that it may use has 1 cores and 9000 MiB free",
        3: "no other host that takes VMs meets its requirements and VM group",
        4: "its state does not allow a migration now",
        5: "OpenNebula refused it: locked",
    }


def test_a_migration_that_fails_is_tried_elsewhere_and_then_left() -> None:
    """A VM whose migration always fails must not be moved back and forth for an hour."""
    flush = Flush(0)
    here = carried_out(cluster(vm(1, 0), vm(2, 0)), flush, failing=frozenset({1}))
    assert here.vms[0].host == 0
    assert here.vms[1].host != 0
    assert len(set(flush.tried[1])) == MOST_TRIES
    assert flush.stays(here) == {1: f"its migration failed {MOST_TRIES} times: see its log"}


def test_vm_groups_hold_during_a_flush() -> None:
    """Two databases that must be apart would share a host, and fail together."""
    here = cluster(
        vm(1, 0, apart=frozenset({"g"})), vm(2, 1, apart=frozenset({"g"})),
        vm(3, 0, together="t"), vm(4, 0, together="t"),
    )  # fmt: skip
    after = {x.id: x.host for x in carried_out(here, Flush(0, parallel=9)).vms}
    assert after[1] == 2
    assert after[3] == after[4] != 0


def test_hosts_that_do_not_take_vms_get_none() -> None:
    """A host that is disabled, or that power is switching off, is no place to go."""
    here = cluster(vm(1, 0), hosts=1)
    shut = replace(here, hosts=(*here.hosts, host(1, state=HostState.DISABLED)))
    assert not Flush(0).steps(shut)


@given(
    st.lists(
        st.builds(vm, st.integers(0, 10**6), st.integers(0, 2), st.integers(64, 4096)),
        unique_by=lambda one: one.id,
        max_size=16,
    ),
    st.integers(1, 4),
    st.sets(st.integers(0, 10**6)),
)
def test_no_host_is_overfilled_and_the_flush_ends(vms: list[Vm], parallel: int, failing: set[int]) -> None:
    """Moved VMs must find the memory that was promised, however the migrations end."""
    flush = Flush(0, parallel)
    here = cluster(*vms)
    used = {n: sum(x.size.memory for x in vms if x.host == n) for n in (1, 2)}
    after = carried_out(here, flush, failing=frozenset(failing))
    for number in (1, 2):
        memory = sum(x.size.memory for x in after.vms if x.host == number)
        assert memory <= max(ROOM.memory, used[number])
    assert flush.stays(after).keys() == {x.id for x in after.vms if x.host == 0}
