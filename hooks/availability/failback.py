"""FAILBACK: move VMs back to a host that returned, each once, a few in each round."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from hooks.availability.model import Entry, Incident, Stage, Vm
from hooks.availability.steps import MoveBack, Step

_ACTIVE, _RUNNING = 3, 3
REASON = "ordered back to its host"


def move_back(incident: Incident, vms: Mapping[int, Vm], most: int) -> tuple[Incident, list[Step]]:
    """Return the record with up to `most` VMs marked as ordered back, and the orders, none at the end.

    A VM is ordered back once, whatever comes of it: it runs where it is.
    """
    chosen = {entry.vm for entry in incident.entries if _returns(entry, vms.get(entry.vm))}
    chosen = set(sorted(chosen)[:most])
    entries = tuple(
        replace(entry, stage=Stage.GONE, reason=REASON) if entry.vm in chosen else entry
        for entry in incident.entries
    )
    return replace(incident, entries=entries), [MoveBack(incident.host, vm) for vm in sorted(chosen)]


def _returns(entry: Entry, vm: Vm | None) -> bool:
    """Return whether a VM runs where this incident started it, and can move while it runs."""
    return (
        entry.stage is Stage.RUNNING
        and vm is not None
        and vm.host == entry.target
        and (vm.state, vm.lcm) == (_ACTIVE, _RUNNING)
        and not vm.pci
        and vm.shared
        and not vm.lock
    )
