"""Places for VMs of a dead host, against a search through all hosts."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from hooks.availability.placement import Places
from onext.cloud.model import Cluster, Host, Stay, Vm
from onext.cloud.snapshot import Cloud
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
