"""Why a VM cannot be moved while it runs, as far as its own document tells.

What oned or a driver refuses for another reason is learned from the refusal (hooks/power/move_failures.py).
"""

from __future__ import annotations

from collections.abc import Callable

from onext.cloud.model import Vm, scalar, vector

LOCAL = ("ssh", "local", "fs_lvm_ssh")
YES = ("YES", "TRUE", "1")


def reason(vm: Vm) -> str:
    """Return why a VM cannot move; empty where nothing speaks against it."""
    return next((text for rule in RULES if (text := rule(vm))), "")


def _locked(vm: Vm) -> str:
    """Any lock, also one of the owner, refuses a migration, also to oneadmin."""
    return "it is locked: `onevm unlock`" if vm.locked else ""


def _driver(vm: Vm) -> str:
    driver = vm.stay.vm_mad if vm.stay else ""
    return f"{driver} does not migrate live" if driver.lower().startswith("lxc") else ""


def _disks(vm: Vm) -> str:
    if vm.stay and vm.stay.tm_mad in LOCAL:
        return "its disks are on the host's own datastore"
    if any("FILESYSTEM" in (disk.disk_type, disk.type) for disk in vm.disks):
        return "a FILESYSTEM disk (virtiofs) does not migrate"
    return ""


def _devices(vm: Vm) -> str:
    if "PCI" in vm.template:
        return "it has a PCI device"
    return "RAW passes a device of the host through" if vm.passes_device else ""


def _topology(vm: Vm) -> str:
    """Pinned CPUs and huge pages tie a VM to its host; cores and sockets alone do not."""
    topology = vector(vm.template, "TOPOLOGY")
    pinned = topology.get("PIN_POLICY", "NONE").upper() not in ("", "NONE")
    return "it has a NUMA topology" if pinned or topology.get("HUGEPAGE_SIZE") else ""


def _encrypted(vm: Vm) -> str:
    """MEMORY_ENCRYPTION (OpenNebula 7.2) keeps the memory's key on the host."""
    for part in (vm.template, vector(vm.template, "OS"), vector(vm.template, "FEATURES")):
        found = part.get("MEMORY_ENCRYPTION", "")
        if not isinstance(found, str) or found.upper() not in ("", "NO", "NONE"):
            return "its memory is encrypted by the host (MEMORY_ENCRYPTION)"
    return ""


def _blocked(vm: Vm) -> str:
    parts = (vm.user_template, vm.template)
    blocked = any(scalar(part, "ONEDRS_BLOCKED").upper() in YES for part in parts)
    return "ONEDRS_BLOCKED is set" if blocked else ""


RULES: tuple[Callable[[Vm], str], ...] = (
    _locked,
    _devices,
    _topology,
    _disks,
    _driver,
    _encrypted,
    _blocked,
)
