"""The PCI devices that OpenNebula's dummy probes report of a host (recorded), as XML."""

from dataclasses import dataclass, replace

from sandbox.markup import tag, text

_SLICES = (1, 2, 3, 4, 6, 8, 12, 16, 24, 48)
_GPU_SIZES = ["1B", "2B", *(f"{size}Q" for size in _SLICES), *(f"{size}A" for size in _SLICES)]
_GPU_PROFILES = ",".join(f"{1145 + number} (NVIDIA L40S-{size})" for number, size in enumerate(_GPU_SIZES))
_FUNCTIONS = 8  # of a slot


@dataclass(frozen=True)
class Device:
    """A PCI device of the machine; releases before 7.4 report nothing of its interface."""

    address: tuple[str, str, str]  # bus, slot, function
    kind: tuple[str, str, str]  # vendor, device, class
    names: tuple[str, str, str]
    numa: int
    profiles: str = ""
    interface: str = ""
    sriov: str = ""
    virtual_functions: str = ""

    def xml(self) -> str:
        """Return the device as HOST_SHARE lists it."""
        (bus, slot, function), (vendor, device, group) = self.address, self.kind
        fields = {
            "ADDRESS": f"0000:{bus}:{slot}:{function}",
            "BUS": bus,
            "CLASS": group,
            "CLASS_NAME": self.names[2],
            "DEVICE": device,
            "DEVICE_NAME": self.names[1],
            "DOMAIN": "0000",
            "FUNCTION": function,
            "IFNAME": self.interface,
            "NUMA_NODE": str(self.numa),
            "PROFILES": self.profiles,
            "SHORT_ADDRESS": f"{bus}:{slot}.{function}",
            "SLOT": slot,
            "SRIOV": self.sriov,
            "SRIOV_NUM": self.virtual_functions,
            "TYPE": f"{vendor}:{device}:{group}",
            "VENDOR": vendor,
            "VENDOR_NAME": self.names[0],
            "VMID": "-1",
        }
        return tag("PCI", "".join(text(name, value) for name, value in fields.items() if value))


_FIRST = (
    Device(
        ("02", "00", "0"),
        ("10de", "0863", "0302"),
        ("NVIDIA Corporation", "C79 [GeForce 9400M]", "3D controller"),
        1,
        _GPU_PROFILES,
    ),
    Device(
        ("00", "06", "0"),
        ("1b21", "0aa7", "0c03"),
        ("ASMedia Technology Inc.", "MCP79 OHCI USB 1.1 Controller", "USB controller"),
        1,
    ),
    Device(
        ("00", "06", "1"),
        ("1022", "0aa9", "0c03"),
        ("Advanced Micro Devices, Inc.", "MCP79 EHCI USB 2.0 Controller", "USB controller"),
        0,
    ),
)
_ONBOARD = Device(
    ("04", "00", "1"),
    ("14e4", "165f", "0200"),
    ("Broadcom Inc. and subsidiaries", "NetXtreme BCM5720 Gigabit Ethernet PCIe", "Ethernet controller"),
    0,
    interface="eno8403",
    sriov="no",
)
_MELLANOX = ("Mellanox Technologies", "MT27710 Family [ConnectX-4 Lx]", "Ethernet controller")


def _physical(function: int) -> Device:
    return Device(
        ("81", "00", str(function)),
        ("15b3", "1015", "0200"),
        _MELLANOX,
        0,
        interface=f"pf{function}",
        sriov="pf",
        virtual_functions="8",
    )


def _virtual(number: int) -> Device:
    slot, function = f"{number // _FUNCTIONS:02}", str(number % _FUNCTIONS)
    maker, model, group = _MELLANOX
    return Device(
        ("81", slot, function),
        ("15b3", "1016", "0200"),
        (maker, model.replace("]", " Virtual Function]"), group),
        0,
        interface=f"vf{slot}{function}",
        sriov="vf",
    )


def _xml(devices: tuple[Device, ...]) -> str:
    return "".join(device.xml() for device in devices)


WITHOUT_INTERFACES = _xml(_FIRST)  # 7.0.2
WITH_INTERFACES = _xml(  # 7.4.0
    (
        *(replace(device, interface="-", sriov="no") for device in _FIRST),
        _ONBOARD,
        _physical(0),
        _physical(1),
        *map(_virtual, range(2, 18)),
    )
)
