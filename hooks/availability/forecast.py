"""What would happen if a host failed now: the steps with their earliest times, and a target for each VM."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from hooks.availability import cluster_view
from hooks.availability.decide import SUSPICION
from hooks.availability.model import Vm
from hooks.availability.part import bmc_config, restricted, vm_groups
from hooks.availability.placement import Places
from hooks.availability.policy import Mode, Policy
from hooks.availability.vm_states import Course, dispose
from onext.cloud.snapshot import Cloud
from onext.oned.objects import VmState
from onext.part import Context
from onext.table import Row

ROUND = 10.0  # seconds until the next round of the worker, at most
ONED_NOTICES = 180.0  # seconds of silence after which oned reports ERROR and VMs become UNKNOWN
_UNKNOWN = 16


def forecast(context: Context, cloud: Cloud, host: int, policy: Policy, *, enabled: bool) -> list[Row]:
    """Return the steps; the times are the earliest, as seconds after the host fell silent."""
    if not enabled or policy.mode is Mode.OFF:
        reason = "its cluster is not in `availability: clusters:`" if not enabled else "MODE is off"
        return [_row(0, "nothing is done", why=reason)]
    return list(_steps(context, cloud, host, policy))


def _row(seconds: float, step: str, vm: str = "", target: str = "", why: str = "") -> Row:
    return {"seconds": round(seconds), "step": step, "vm": vm, "target": target, "why": why}


def _steps(context: Context, cloud: Cloud, host: int, policy: Policy) -> Iterator[Row]:
    name = cloud.hosts[host].name
    vms = _vms(cloud, host)
    yield _row(0, f"{name} falls silent")
    yield _row(SUSPICION, "suspect", why=f"the host is disabled, {len(vms)} VMs are locked")
    if policy.mode is Mode.ADVISE:
        yield _row(SUSPICION + policy.confirm, "held", why="MODE is advise: what follows would be done")
    proof = SUSPICION + policy.confirm + ROUND
    if host in bmc_config(context):
        yield _row(proof, "fencing", why="its BMC is ordered to power it off, and read twice")
    else:
        yield _row(proof, "held", why="it has no BMC: after `onext ha confirm`, or when its lease expired")
    yield from _restarts(cloud, host, policy, vms, max(proof + ROUND, ONED_NOTICES + ROUND))


def _vms(cloud: Cloud, host: int) -> list[Vm]:
    """Return the host's VMs as oned would have them by then: UNKNOWN where they run now."""
    shared, trusted = cluster_view.shared_datastores(cloud), restricted(cloud)
    found = [cluster_view.vm_of(vm, shared, trusted=trusted) for vm in cloud.vms_by_host.get(host, ())]
    later = [replace(vm, lcm=_UNKNOWN) if vm.state == VmState.ACTIVE else vm for vm in found]
    return sorted(later, key=lambda vm: (-vm.priority, vm.id))


def _restarts(cloud: Cloud, host: int, policy: Policy, vms: list[Vm], begin: float) -> Iterator[Row]:
    places = Places(cloud, cloud.hosts[host].cluster_id, (host,), vm_groups(cloud))
    courses = {vm.id: dispose(vm, host, policy.action, owners=policy.services) for vm in vms}
    moving = [vm for vm in vms if courses[vm.id].course in (Course.MIGRATE, Course.MIGRATE_AND_RESUME)]
    targets = places.place([vm.id for vm in moving], {})
    groups = sorted({vm.priority for vm in moving}, reverse=True)
    for vm in vms:
        label, found = f"{vm.id} {vm.name}", courses[vm.id]
        if vm not in moving:
            yield _row(begin, found.course.value, label, why=found.reason)
        elif vm.id in targets:
            when = begin + groups.index(vm.priority) * ROUND
            yield _row(when, "restart", label, cloud.hosts[targets[vm.id]].name, f"priority {vm.priority}")
        else:
            yield _row(begin, "wait", label, why="no host has room that it may use")
