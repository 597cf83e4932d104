"""The room that is kept free for VMs that are not there yet."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from math import inf

from hooks.power.policy import Policy
from onext.hosts.model import Cluster, Kind
from onext.hosts.placement.problem import ZERO, Size

Want = tuple[int, Size, frozenset[int] | None]  # so many, of this size, on these hosts (None: any)


def wanted(cluster: Cluster, policy: Policy, more: int = 0) -> tuple[Want, ...]:
    """Return what must stay free: N (and `more`) times the largest flavour, and each group's own.

    Flavours are those of running VMs and of oneadmin's templates, so that no user can raise the buffer with a
    template that he never starts. Of one that fits on no host, the largest part that one host has counts.
    """
    running = [vm for vm in cluster.vms if vm.kind is Kind.RUNNING]
    sizes = [host.size for host in cluster.hosts if not host.pinned]
    flavour = _largest([*cluster.flavours, *(vm.size for vm in running)], sizes)
    hosts = _open_to_all(cluster)
    wants: list[Want] = []
    if policy.buffer_vms:
        wants.append((policy.buffer_vms + more, flavour, hosts))
    for group, count in policy.group_buffers:
        own = _largest([vm.size for vm in running if vm.group == group] or [flavour], sizes)
        wants.append((count, own, hosts))
    return tuple(want for want in wants if want[0] and want[1] != ZERO)


def _open_to_all(cluster: Cluster) -> frozenset[int] | None:
    """Return the hosts that take VMs without pinned CPUs; None where all do."""
    if not any(host.pinned for host in cluster.hosts):
        return None
    return frozenset(host.id for host in cluster.hosts if not host.pinned)


def _largest(flavours: Iterable[Size], hosts: Sequence[Size]) -> Size:
    """Return the flavour that takes the largest share of a host, as far as one host has room for it."""
    cpu = max((host.cpu for host in hosts), default=0) or inf
    memory = max((host.memory for host in hosts), default=0) or inf

    def shares(size: Size) -> tuple[float, float]:
        return size.cpu / cpu, size.memory / memory

    size = max(flavours, key=lambda size: max(shares(size)), default=ZERO)
    cuts = (Size(min(size.cpu, host.cpu), min(size.memory, host.memory)) for host in hosts)
    return max(cuts, key=lambda size: sum(shares(size)), default=ZERO)
