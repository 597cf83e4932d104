"""The releases of OpenNebula that the sandbox plays, and in what they differ (recorded)."""

from dataclasses import dataclass, field

from sandbox.state import pci
from sandbox.template import names

_VM_QUOTAS = tuple(names("CPU MEMORY RUNNING_CPU RUNNING_MEMORY RUNNING_VMS SYSTEM_DISK_SIZE VMS"))
_PCI_QUOTAS = tuple(names("PCI_DEV PCI_NIC RUNNING_PCI_DEV RUNNING_PCI_NIC"))


@dataclass(frozen=True)
class Release:
    """One release."""

    version: str
    trims: bool = False  # blanks around the values of templates that clients send
    unknown_password: str = "-"  # noqa: S105  what an authentication driver reads of a user that oned does not know
    image_format: str = "dummy_format"
    context_target: str = "hda"
    os_machine: str = ""  # OS/MACHINE of VMs that name none
    nic_routes: bool = False  # CONTEXT/ETHn_ROUTES
    range_state: bool = False  # NEXT_INDEX and SHARED of address ranges, TEMPLATE_ID of networks
    vlan_rules: bool = False  # of groups
    vm_quotas: tuple[str, ...] = _VM_QUOTAS
    grpc: bool = False  # the zone names an endpoint; none is played
    pool_ranges: bool = True  # one.hookpool.info wants its range
    pci_devices: str = pci.WITHOUT_INTERFACES
    host_static: dict[str, str] = field(default_factory=dict)
    system_datastore: dict[str, str] = field(default_factory=dict)


RELEASES = {
    release.version: release
    for release in (
        Release("7.0.2"),
        Release(
            "7.4.0",
            trims=True,
            unknown_password="",
            image_format="raw",
            context_target="sdb",
            os_machine="q35",
            nic_routes=True,
            range_state=True,
            grpc=True,
            vlan_rules=True,
            vm_quotas=tuple(sorted((*_VM_QUOTAS, *_PCI_QUOTAS))),
            pool_ranges=False,
            pci_devices=pci.WITH_INTERFACES,
            host_static={"MEMORY_ENCRYPTION": "SEV"},
            system_datastore={"DS_LIVE_MIGRATE": "YES", "DS_MIGRATE_SNAP": "YES"},
        ),
    )
}
DEFAULT = "7.4.0"
