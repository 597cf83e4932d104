"""Keep OpenNebula's own planners from a suspect host and its VMs: they start UNKNOWN VMs without a proof."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from hooks.availability.model import SETTLED, Cluster, Entry, Host, Incident, Vm
from hooks.availability.steps import Disable, DropPlan, Hold, Protect, Step, Write
from onext.oned.objects import HostState


def protect(cluster: Cluster, incident: Incident, host: Host) -> list[Step]:
    """Return the steps that are left until host and VMs are protected, the record of them first."""
    steps: list[Step] = [] if host.held or host.maintenance else [Hold(host.id)]
    if host.state is not HostState.DISABLED and host.state is not HostState.OFFLINE:
        incident = replace(incident, disabled=True)
        steps.append(Disable(host.id))
    incident, locks = exposed(cluster, incident)
    steps += locks
    if cluster.plan:
        steps.append(DropPlan(host.id, cluster.id))
    return [Write(incident), *steps] if steps else []


def exposed(cluster: Cluster, incident: Incident) -> tuple[Incident, Sequence[Protect]]:
    """Return the incident with our locks noted, and the VMs to lock: found later, or unlocked by others.

    A VM that is settled is not locked again.
    """
    vms = {vm.id: vm for vm in cluster.on(incident.host)}
    entries, steps = [], []
    for entry in incident.entries:
        vm = vms.get(entry.vm)
        if vm is not None and entry.stage not in SETTLED and (not vm.lock or vm.resched):
            entries.append(_with_lock(entry, vm))
            steps.append(Protect(incident.host, entry.vm))
        else:
            entries.append(entry)
    return replace(incident, entries=tuple(entries)), steps


def _with_lock(entry: Entry, vm: Vm) -> Entry:
    """Record which lock a VM will have: that of this part, or its owner's."""
    owner = entry.owner_lock or (0 if entry.locked else vm.lock)
    return replace(entry, locked=not owner, owner_lock=owner)
