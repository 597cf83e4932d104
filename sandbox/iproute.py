"""What iproute2 prints: `ip --json address show` of a machine with a loopback and one card."""

import ipaddress
from collections.abc import Iterable


def links(addresses: Iterable[str]) -> list[dict[str, object]]:
    """Return what `ip --json address show` prints on a machine with a loopback and one card."""
    return [
        _link(1, "lo", "loopback", "00:00:00:00:00:00", ["127.0.0.1/8", "::1/128"]),
        _link(2, "eth0", "ether", "52:54:00:12:34:56", addresses),
    ]


def _link(index: int, name: str, kind: str, mac: str, addresses: Iterable[str]) -> dict[str, object]:
    return {
        "ifindex": index,
        "ifname": name,
        "flags": ["LOOPBACK", "UP", "LOWER_UP"]
        if kind == "loopback"
        else ["BROADCAST", "MULTICAST", "UP", "LOWER_UP"],
        "mtu": 65536 if kind == "loopback" else 1500,
        "qdisc": "noqueue",
        "operstate": "UNKNOWN" if kind == "loopback" else "UP",
        "group": "default",
        "txqlen": 1000,
        "link_type": kind,
        "address": mac,
        "broadcast": "ff:ff:ff:ff:ff:ff",
        "addr_info": [_address(name, address) for address in addresses],
    }


def _address(label: str, address: str) -> dict[str, object]:
    interface = ipaddress.ip_interface(address)
    local = {"host": interface.ip.is_loopback, "link": interface.ip.is_link_local}
    whole = "/" not in address
    return {
        "family": "inet" if interface.version == 4 else "inet6",
        "local": str(interface.ip),
        "prefixlen": (24 if interface.version == 4 else 64) if whole else interface.network.prefixlen,
        "scope": next((scope for scope, holds in local.items() if holds), "global"),
        **({"label": label} if interface.version == 4 else {}),
        "valid_life_time": 4294967295,
        "preferred_life_time": 4294967295,
    }
