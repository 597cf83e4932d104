"""Which addresses are public, and which of them a host has.

`ipaddress.is_global` is not used: it counts multicast, and its answer differs between Python releases.
The table is that of IANA's special-purpose address registries (RFC 6890 and its updates).
"""

from __future__ import annotations

import json
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

Address = IPv4Address | IPv6Address

_NOT_PUBLIC_4 = tuple(
    map(
        IPv4Network,
        (
            "0.0.0.0/8",  # this network
            "10.0.0.0/8",  # private
            "100.64.0.0/10",  # shared by carriers (CGNAT)
            "127.0.0.0/8",  # loopback
            "169.254.0.0/16",  # link-local
            "172.16.0.0/12",  # private
            "192.0.0.0/24",  # protocol assignments
            "192.0.2.0/24",  # documentation
            "192.88.99.0/24",  # 6to4 relays, deprecated
            "192.168.0.0/16",  # private
            "198.18.0.0/15",  # benchmarking
            "198.51.100.0/24",  # documentation
            "203.0.113.0/24",  # documentation
            "224.0.0.0/4",  # multicast
            "240.0.0.0/4",  # reserved, broadcast
        ),
    )
)
_UNICAST_6 = IPv6Network("2000::/3")  # everything that IANA gave out for the Internet
_NOT_PUBLIC_6 = tuple(
    map(
        IPv6Network,
        (
            "2001::/23",  # protocol assignments: Teredo, benchmarking, ORCHID
            "2001:db8::/32",  # documentation
            "2002::/16",  # 6to4
            "3fff::/20",  # documentation
        ),
    )
)


class NotAddresses(ValueError):
    """The output is not what `ip --json address show` prints."""


def public(address: Address) -> bool:
    """Whether an address is reachable on the Internet and so has a place on Earth."""
    if isinstance(address, IPv4Address):
        return not any(address in network for network in _NOT_PUBLIC_4)
    return address in _UNICAST_6 and not any(address in network for network in _NOT_PUBLIC_6)


def parse(text: str) -> Address:
    """Read an address, an IPv4 one also in its IPv6-mapped form; raise ValueError."""
    address = ip_address(text)
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return mapped or address


def listed(output: bytes) -> tuple[Address, ...]:
    """Return the public addresses in the output of `ip --json address show`, in its order, once each.

    Raises NotAddresses.
    """
    try:
        interfaces = json.loads(output)
        found = [
            parse(info["local"])
            for link in interfaces
            for info in link.get("addr_info", ())
            if "local" in info
        ]
    except (ValueError, TypeError, AttributeError, KeyError, RecursionError) as error:
        raise NotAddresses(
            f"`ip --json address show` printed something else ({len(output)} bytes): {error}"
        ) from error
    return tuple(dict.fromkeys(address for address in found if public(address)))
