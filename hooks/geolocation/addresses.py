"""Which addresses are public, and which of them a host has.

`ipaddress.is_global` is not used: it counts multicast, and its answer differs between Python releases.
The table is that of IANA's special-purpose address registries (RFC 6890 and its updates).
"""

from __future__ import annotations

import json
import re
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from itertools import islice

from onext import bounds

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
_UNICAST_6 = IPv6Network("2000::/3")  # every prefix that IANA has allocated for the Internet
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


_START = re.compile(r"\[(?=\s*[{\]])")  # where a list of objects may begin
_MOST_STARTS = 32
_DECODER = json.JSONDecoder()
_UNUSABLE = ("dadfailed", "tentative")
_PASSING = ("deprecated", "temporary")
_MOST = 64  # addresses of one host
_SHOWN = 100


class NotAddresses(ValueError):
    """The output is not what `ip --json address show` prints."""


def public(address: Address) -> bool:
    """Whether an address is reachable on the Internet, and so has a location."""
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

    A message of the day before it, objects without addresses and unreadable addresses are ignored. Addresses
    that failed duplicate detection do not count; deprecated and temporary ones count only where the host has
    none other, because they change. Raises NotAddresses.
    """
    infos = [info for link in _links(output) for info in _infos(link)]
    read = [(info, _local(info)) for info in infos if "local" in info]
    if read and all(address is None for _, address in read):
        raise NotAddresses("`ip --json address show` lists no address that can be read")
    found = [
        (info, address)
        for info, address in read
        if address is not None and public(address) and not any(info.get(flag) is True for flag in _UNUSABLE)
    ]
    lasting = [address for info, address in found if not any(info.get(flag) is True for flag in _PASSING)]
    return tuple(dict.fromkeys(lasting or [address for _, address in found]))[:_MOST]


def _links(output: bytes) -> list[object]:
    """Return the list of interfaces: the list of objects with which the output ends.

    An empty one counts only where there is nothing else: it means that the host has no address.
    """
    text = output.decode("utf-8", "replace").strip()
    for found in islice(_START.finditer(text), _MOST_STARTS):
        try:
            document, end = _DECODER.raw_decode(text, found.start())
        except (ValueError, RecursionError):
            continue
        whole = end == len(text) and all(isinstance(link, dict) for link in document)
        if whole and (document or found.start() == 0):
            return list(document)
    shown = bounds.words(text[-_SHOWN:], _SHOWN)
    raise NotAddresses(f"`ip --json address show` printed something else ({len(output)} bytes): {shown!r}")


def _infos(link: object) -> list[dict[str, object]]:
    """Return the addresses of an interface, none of one without."""
    infos = link.get("addr_info", []) if isinstance(link, dict) else []
    if not isinstance(infos, list):
        raise NotAddresses(f"`ip --json address show`: addr_info is a {type(infos).__name__}, not a list")
    return [info for info in infos if isinstance(info, dict)]


def _local(info: dict[str, object]) -> Address | None:
    try:
        return parse(str(info["local"])[:100])
    except ValueError:
        return None
