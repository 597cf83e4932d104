"""Network devices as /sys shows them, which takes no privilege."""

import os
from typing import List, Optional

_IFF_TUN = 0x1  # linux/if_tun.h; 0x2 is IFF_TAP


def exists(name: str) -> bool:
    """Tell whether the device is there (the exit codes of OVS's tools do not show that)."""
    return os.path.isdir("/sys/class/net/" + name)


def names() -> List[str]:
    """Return the names of all devices."""
    return sorted(os.listdir("/sys/class/net"))


def is_vxlan(name: str) -> bool:
    """Tell whether the device is a plain VXLAN device."""
    return "DEVTYPE=vxlan" in _read(name, "uevent")


def is_wireguard(name: str) -> bool:
    """Tell whether the device is WireGuard's: the kernel's, or one that wireguard-go serves."""
    served = is_tun(name) and os.path.exists(f"/var/run/wireguard/{name}.sock")
    return served or "DEVTYPE=wireguard" in _read(name, "uevent")


def is_tun(name: str) -> bool:
    """Tell whether a program is behind the device, at layer 3: bridges of OVS in userspace are TAP."""
    return bool(int(_read(name, "tun_flags").strip() or "0", 16) & _IFF_TUN)


def mtu(name: str) -> int:
    """Return the MTU in bytes, 0 without such a device."""
    return int(_read(name, "mtu") or 0)


def index(name: str) -> int:
    """Return the interface index, 0 without such a device."""
    return int(_read(name, "ifindex") or 0)


def address_follows_mac(name: str) -> bool:
    """Tell whether the kernel makes the IPv6 link-local address of the MAC: its default."""
    try:
        with open(f"/proc/sys/net/ipv6/conf/{name}/addr_gen_mode") as file:
            return file.read().strip() == "0"
    except OSError:
        return True  # an old kernel, or one without IPv6, which the missing address will tell


def sent_bytes(name: str) -> Optional[int]:
    """Return the bytes that were sent since the device exists (OVS's own figures lag), None without it."""
    return _statistic(name, "tx_bytes")


def received_packets(name: str) -> Optional[int]:
    """Return the packets that came in: when they do not increase, the tunnel is dead."""
    return _statistic(name, "rx_packets")


def _statistic(name: str, which: str) -> Optional[int]:
    text = _read(name, "statistics/" + which)
    return int(text) if text else None


def _read(name: str, which: str) -> str:
    try:
        with open(f"/sys/class/net/{name}/{which}") as file:
            return file.read().strip()
    except OSError:
        return ""
