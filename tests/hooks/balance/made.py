"""Clusters that drifted apart, made from a number."""

from __future__ import annotations

import random

from hooks.balance.model import Use
from onext.hosts.model import Cluster, Host, Kind, Vm
from onext.hosts.placement.problem import Size
from onext.oned.objects import HostState
from tests.hooks.balance.test_plan import drifted, used


def made(hosts: int, count: int) -> tuple[Cluster, Use]:
    """Return a cluster that is used to about one half and has drifted apart."""
    dice = random.Random(hosts)
    there = tuple(Host(n, f"n-{n}", HostState.MONITORED, Size(3200, 131_072)) for n in range(hosts))
    scale = sum(host.size.memory for host in there) / 2 / count
    vms = []
    for n in range(count):
        memory = round(scale * dice.choice((0.5, 0.75, 1.0, 1.75)))
        at = drifted({"id": n, "host": n % hosts})
        vms.append(Vm(n, f"vm-{n}", Size(memory // 50, memory), Kind.RUNNING, at))
    here = Cluster(100, f"made-{hosts}-{count}", there, tuple(vms))
    return here, used(here)
