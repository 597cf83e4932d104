"""Why a VM cannot be moved while it runs, as far as its own document tells.

What oned or a driver refuses for another reason is learned from the refusal (hooks/power/move_failures.py).
"""

from __future__ import annotations

from collections.abc import Callable

from onext.xml import Element

LOCAL = ("ssh", "local", "fs_lvm_ssh")
YES = ("YES", "TRUE", "1")


def reason(vm: Element) -> str:
    """Return why a VM cannot move; empty where nothing speaks against it."""
    return next((text for rule in RULES if (text := rule(vm))), "")


def _locked(vm: Element) -> str:
    """Any lock, also one of the owner, refuses a migration, also to oneadmin."""
    return "it is locked: `onevm unlock`" if vm.findtext("LOCK/LOCKED", "0") != "0" else ""


def _driver(vm: Element) -> str:
    records = vm.findall("HISTORY_RECORDS/HISTORY")
    driver = records[-1].findtext("VM_MAD", "") if records else ""
    return f"{driver} does not migrate live" if driver.lower().startswith("lxc") else ""


def _disks(vm: Element) -> str:
    records = vm.findall("HISTORY_RECORDS/HISTORY")
    if records and records[-1].findtext("TM_MAD", "") in LOCAL:
        return "its disks are on the host's own datastore"
    for disk in vm.iterfind("TEMPLATE/DISK"):
        if "FILESYSTEM" in (disk.findtext("DISK_TYPE", "").upper(), disk.findtext("TYPE", "").upper()):
            return "a FILESYSTEM disk (virtiofs) does not migrate"
    return ""


def _devices(vm: Element) -> str:
    if vm.find("TEMPLATE/PCI") is not None:
        return "it has a PCI device"
    for raw in (*vm.iterfind("TEMPLATE/RAW"), *vm.iterfind("USER_TEMPLATE/RAW")):
        data = f"{raw.text or ''}{raw.findtext('DATA', '')}{raw.findtext('DATA_VMX', '')}"
        if "hostdev" in data.lower():
            return "RAW passes a device of the host through"
    return ""


def _topology(vm: Element) -> str:
    """Pinned CPUs and huge pages tie a VM to its host; cores and sockets alone do not."""
    topology = vm.find("TEMPLATE/TOPOLOGY")
    if topology is None:
        return ""
    pinned = topology.findtext("PIN_POLICY", "NONE").upper() not in ("", "NONE")
    return "it has a NUMA topology" if pinned or topology.findtext("HUGEPAGE_SIZE") else ""


def _encrypted(vm: Element) -> str:
    """MEMORY_ENCRYPTION (OpenNebula 7.2) keeps the memory's key on the host."""
    for parent in ("TEMPLATE", "TEMPLATE/OS", "TEMPLATE/FEATURES"):
        found = vm.find(f"{parent}/MEMORY_ENCRYPTION")
        if found is not None and (len(found) or (found.text or "").upper() not in ("", "NO", "NONE")):
            return "its memory is encrypted by the host (MEMORY_ENCRYPTION)"
    return ""


def _blocked(vm: Element) -> str:
    for part in ("USER_TEMPLATE", "TEMPLATE"):
        if vm.findtext(f"{part}/ONEDRS_BLOCKED", "").upper() in YES:
            return "ONEDRS_BLOCKED is set"
    return ""


RULES: tuple[Callable[[Element], str], ...] = (
    _locked,
    _devices,
    _topology,
    _disks,
    _driver,
    _encrypted,
    _blocked,
)
