"""Places for VMs of a dead host, against a search through all hosts."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hooks.availability.placement import Places
from onext.cloud.model import Cluster, Host, Stay, Vm
from onext.cloud.snapshot import Cloud
from onext.hosts.inventory import vms
from onext.hosts.inventory.groups import Ties
from onext.oned.objects import HostState, VmState

GIB = 1024


def vm(number: int, host: int, gib: int) -> Vm:
    """Return a VM that runs on a host."""
    stay = Stay(0, host, f"h{host}", 100, 0, "kvm", "shared", 0.0, 0.0, 0)
    return Vm(
        number, f"v{number}", state=int(VmState.ACTIVE), lcm_state=3, cpu=1.0, memory=gib * GIB, stay=stay
    )


def cloud(hosts: list[int], vms: list[tuple[int, int]]) -> Cloud:
    """Return hosts with this memory in GiB and VMs by host and GiB."""
    made = [vm(number, host % len(hosts), gib) for number, (host, gib) in enumerate(vms)]
    used = [sum(one.memory for one in made if one.host_id == n) for n in range(len(hosts))]
    found = [
        Host(
            n, f"h{n}", int(HostState.MONITORED), cluster_id=100, max_cpu=6400, cpu_usage=0,
            max_memory=gib << 20, memory_usage=used[n] << 10,
        )
        for n, gib in enumerate(hosts)
    ]  # fmt: skip
    return Cloud.of(found, vms=made)


@given(
    st.lists(st.integers(1, 60), min_size=1, max_size=8),
    st.lists(st.integers(1, 20), min_size=1, max_size=12),
)
@settings(max_examples=60, deadline=None, derandomize=True)
def test_the_host_with_most_free_memory_is_taken(hosts: list[int], sizes: list[int]) -> None:
    """VMs that gather on one host fail together the next time."""
    found = cloud([*hosts, 1000], [(len(hosts), gib) for gib in sizes])
    places = Places(found, 100, (len(hosts),))
    free = {n: gib * GIB for n, gib in enumerate(hosts)}
    expected = {}
    for number, gib in enumerate(sizes):
        fits = [host for host in free if free[host] >= gib * GIB]
        if fits:
            best = max(fits, key=lambda host: (free[host], -host))
            expected[number] = best
            free[best] -= gib * GIB
    assert places.place(range(len(sizes)), {}) == expected


def test_a_vm_restarts_only_where_its_cpu_model_is() -> None:
    """The VMs of a dead host are sent to one whose CPU lacks the cluster's EVC_MODE: none of them starts."""
    found = cloud([10, 60, 20], [(0, 4)])
    hosts = [
        replace(host, template={"KVM_CPU_MODELS": models} if models else {})
        for host, models in zip(found.hosts.values(), ("", "kvm64", "kvm64 Haswell"), strict=True)
    ]
    cluster = Cluster(100, "alpha", template={"EVC_MODE": "Haswell"})
    assert Places(found, 100, (0,)).place([0], {}) == {0: 1}
    evc = Cloud.of(hosts, vms=list(found.vms.values()), clusters=[cluster])
    assert Places(evc, 100, (0,)).place([0], {}) == {0: 2}


def test_a_trial_leaves_no_trace() -> None:
    """A question about one host would change the answer about the next one, or a restart itself."""
    found = cloud([10, 10, 10], [(0, 1), (1, 1)])
    places = Places(found, 100, (), Ties(apart={0: {"g"}, 1: {"g"}}))
    before = places.room(2)
    assert places.trial([0], [0]) == {0: 2}
    assert places.trial([1], [1]) == {1: 2}
    assert places.room(2) == before
    assert places.place([0, 1], {}) == {0: 2}, "the second of a group finds no host apart from the first"


@pytest.mark.parametrize(("start", "host"), [(0, 1), (1, 2), (2, 1)])
def test_a_start_passes_over_the_hosts_with_the_most_room(start: int, host: int) -> None:
    """Two questions get one answer, or a VM that fits nowhere else gets none."""
    found = cloud([10, 60, 20], [(0, 4)])
    assert Places(found, 100, ()).place([0], {}, start=start) == {0: host}
    assert Places(found, 100, ()).trial([0], [0], start=start) == {0: host}


@pytest.mark.parametrize(
    ("changes", "fits"),
    [
        ({}, True),
        ({"max_cpu": 100}, True),
        ({"max_cpu": 99}, False),
        ({"max_cpu": 150, "cpu_usage": 51}, False),
        ({"state": int(HostState.DISABLED)}, False),
        ({"problem": "?"}, False),
        ({"cluster_id": 101}, False),
    ],
)
def test_only_an_open_host_with_room_takes_a_vm(changes: dict[str, Any], fits: bool) -> None:
    """A VM is sent to a host that cannot take it, and stays down for another round."""
    found = cloud([10, 10], [(0, 4)])
    other = replace(found.hosts[1], **changes)
    changed = Cloud.of([found.hosts[0], other], vms=list(found.vms.values()))
    assert Places(changed, 100, ()).place([0, 99], {}) == ({0: 1} if fits else {})
    assert Places(changed, 100, (1,)).place([0], {}) == {}
    assert Places(changed, 100, ()).place([0], {0: frozenset({1})}) == {}


@pytest.mark.parametrize(
    ("expression", "host"),
    [
        ("", 1),
        ("ID = 2", 2),
        ('NAME = "h2"', 2),
        ("CLUSTER_ID = 100", 1),
        ("CLUSTER_ID = 101", None),
        ("RACK = r2", 2),
        ("ID = ", None),
    ],
)
def test_a_vm_goes_where_its_requirements_allow(expression: str, host: int | None) -> None:
    """A VM starts on a host without its network, or one whose expression is unreadable on any."""
    found = cloud([10, 60, 20], [(0, 4)])
    asking = replace(found.vms[0], user_template={"SCHED_REQUIREMENTS": expression})
    racks = [replace(one, template={"RACK": f"r{one.id}"}) for one in found.hosts.values()]
    places = Places(Cloud.of(racks, vms=[asking]), 100, ())
    assert places.place([0], {}) == ({} if host is None else {0: host})


@pytest.mark.parametrize(
    ("ties", "host"),
    [
        (Ties(hosts={0: {2}}), 2),
        (Ties(not_hosts={0: {1}}), 2),
        (Ties(not_hosts={0: {1, 2}}), None),
        (Ties(), 1),
    ],
)
def test_a_vm_group_binds_and_forbids_hosts(ties: Ties, host: int | None) -> None:
    """Two databases that must not fail together start on one host."""
    found = cloud([10, 60, 20], [(0, 4)])
    assert Places(found, 100, (), ties).place([0], {}) == ({} if host is None else {0: host})


def requiring(one: Vm, automatic: str, own: str) -> Vm:
    """Return a VM for which oned and its owner require something."""
    return replace(
        one, template={"AUTOMATIC_REQUIREMENTS": automatic}, user_template={"SCHED_REQUIREMENTS": own}
    )


def test_a_tenants_bracket_does_not_end_what_oned_requires() -> None:
    """`a) | (b` would lift the automatic requirements, and start a VM where its datastore is not."""
    found = cloud([10, 20, 20], [(0, 1)])
    asking = requiring(found.vms[0], 'NAME = "h1"', 'NAME = "h1") | (NAME = "h2"')
    assert Places(Cloud.of(found.hosts.values(), vms=[asking]), 100, (0,)).place([0], {}) == {}
    plain = requiring(found.vms[0], 'NAME = "h1"', 'NAME = "h1" | NAME = "h2"')
    assert Places(Cloud.of(found.hosts.values(), vms=[plain]), 100, (0,)).place([0], {}) == {0: 1}


def test_a_tenants_requirements_cost_no_more_than_his_share(monkeypatch: pytest.MonkeyPatch) -> None:
    """Thousands of long expressions would keep availability busy for hours while hosts of others are down."""
    monkeypatch.setattr(vms, "WORK", 10_000)
    found = cloud([10, 20, 20], [(0, 1)] * 40)
    asking = [
        replace(
            requiring(one, "", " & ".join(f'NAME != "{one.id}x{n}*"' for n in range(50))),
            uid=5 if one.id else 6,
        )
        for one in found.vms.values()
    ]
    places = Places(Cloud.of(found.hosts.values(), vms=asking), 100, (0,))
    placed = places.place(range(40), {})
    assert 0 in placed, "another user's VMs have their own share"
    assert 1 in placed
    assert 39 not in placed
