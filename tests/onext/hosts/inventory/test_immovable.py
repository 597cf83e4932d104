"""Which VMs cannot move, and which are merely unusual."""

from typing import Any

import pytest

from onext.cloud.model import Disk, Stay, Vm
from onext.hosts.inventory import immovable

SECRET = "MEMORY_ENCRYPTION"


def on(vm_mad: str = "kvm", tm_mad: str = "shared") -> dict[str, Any]:
    return {"stay": Stay(0, 1, "node", 100, 0, vm_mad, tm_mad, 1.0, 0.0, 0)}


def disk(kind: str, disk_type: str) -> dict[str, Any]:
    return {
        "disks": (
            Disk(0, 1, "FILE", "FILE", "", 1, 1, False, ""),
            Disk(1, 1, kind, disk_type, "", 1, 1, False, ""),
        )
    }


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({}, ""),
        (on(), ""),
        ({"template": {"PCI": {"ID": "1"}}}, "it has a PCI device"),
        ({"passes_device": True}, "RAW passes a device of the host through"),
        ({"locked": 1}, "it is locked: `onevm unlock`"),
        ({"template": {"TOPOLOGY": {"PIN_POLICY": "core"}}}, "NUMA"),
        ({"template": {"TOPOLOGY": {"PIN_POLICY": "none"}}}, ""),
        ({"template": {"TOPOLOGY": {"PIN_POLICY": ""}}}, ""),
        ({"template": {"TOPOLOGY": {"CORES": "2"}}}, ""),
        ({"template": {"TOPOLOGY": {"HUGEPAGE_SIZE": "2"}}}, "NUMA"),
        ({"template": {SECRET: "sev"}}, "encrypted"),
        ({"template": {SECRET: {"TYPE": "sev"}}}, "encrypted"),
        *(({"template": {SECRET: text}}, "") for text in ("", "no", "None")),
        *(({"template": {part: {SECRET: "AUTO"}}}, "encrypted") for part in ("OS", "FEATURES")),
        *(({"template": {"ONEDRS_BLOCKED": text}}, "ONEDRS_BLOCKED is set") for text in ("yes", "TRUE", "1")),
        ({"user_template": {"ONEDRS_BLOCKED": "yes"}}, "ONEDRS_BLOCKED is set"),
        ({"user_template": {"ONEDRS_BLOCKED": "0"}}, ""),
        (on("lxc"), "lxc does not migrate live"),
        (on("LXC-custom"), "LXC-custom does not migrate live"),
        *((on(tm_mad=mad), "own datastore") for mad in ("ssh", "local", "fs_lvm_ssh")),
        (disk("FILESYSTEM", "FILE"), "virtiofs"),
        (disk("FILE", "FILESYSTEM"), "virtiofs"),
        (disk("BLOCK", "RBD"), ""),
    ],
)  # fmt: skip
def test_C1_what_keeps_a_vm_on_its_host(values: dict[str, Any], said: str) -> None:
    """Each drain would fail at this VM again and again, or a VM that could move hold its host."""
    found = immovable.reason(Vm(7, **values))
    assert said in found
    assert bool(found) is bool(said), found
