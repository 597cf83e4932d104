"""Virtual networks as the guard of targets sees them: whose they are, and which addresses they lease."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address

from onext.xml import Element

SCRAPE = "ONEXT_SCRAPE"
ONEADMIN = 0  # uid of the user, gid of the group
Address = IPv4Address | IPv6Address


@dataclass(frozen=True)
class Range:
    """The addresses from `first` to `last`."""

    first: Address
    last: Address

    def __contains__(self, address: Address) -> bool:
        """Whether an address of the same family lies between."""
        return address.version == self.first.version and int(self.first) <= int(address) <= int(self.last)


@dataclass(frozen=True)
class VirtualNetwork:
    """A network in which an administrator allowed to scrape (`allowed`), and its ranges."""

    id: int
    name: str
    allowed: bool
    ranges: tuple[Range, ...] = ()


def networks(pool: Element, administrators: Collection[int]) -> Iterator[VirtualNetwork]:
    """Yield the networks of `<VNET_POOL>`; `administrators` are the ids of the users in oneadmin."""
    for element in pool:
        yield VirtualNetwork(
            id=int(element.findtext("ID", "-1")),
            name=element.findtext("NAME", ""),
            allowed=_allowed(element, administrators),
            ranges=tuple(part for range_ in element.iterfind("AR_POOL/AR") for part in _ranges(range_)),
        )


def _allowed(element: Element, administrators: Collection[int]) -> bool:
    """Whether ONEXT_SCRAPE is YES, and nobody but administrators could have written it."""
    if element.findtext(f"TEMPLATE/{SCRAPE}", "").strip().upper() != "YES":
        return False
    owner = int(element.findtext("UID", "-1"))
    group = int(element.findtext("GID", "-1"))
    by_group = element.findtext("PERMISSIONS/GROUP_M", "1") != "0" and group != ONEADMIN
    by_others = element.findtext("PERMISSIONS/OTHER_M", "1") != "0"
    return (owner == ONEADMIN or owner in administrators) and not by_group and not by_others


def _ranges(element: Element) -> Iterator[Range]:
    """Yield the addresses of one `<AR>`: IP and IP6 with SIZE, and the prefixes of SLAAC (all of /64)."""
    size = int(element.findtext("SIZE", "0") or 0)
    for key in ("IP", "IP6"):
        try:
            first = ip_address(element.findtext(key, ""))
            yield Range(first, first + (size - 1))
        except ValueError:
            continue
    for key in ("GLOBAL_PREFIX", "ULA_PREFIX"):
        try:
            prefix = IPv6Network((element.findtext(key, ""), 64), strict=False)
        except ValueError:
            continue
        yield Range(prefix[0], prefix[-1])
