"""Virtual networks: who administers them, and which address they assign to which VM.

`one.vnpool.info` holds, for each address range, ALLOCATED: pairs of an index in the range and the packed
owner, whose type is in the upper 32 bits (PoolObjectSQL::ObjectType) and whose id is in the lower. From the
index follow the addresses, as oned's AddressRange.cc makes them. A SHARED range (OpenNebula 7.4) may have
several owners for one index. A reservation is a network whose addresses its parent allocates to it.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from ipaddress import IPv4Address, IPv6Address, ip_address

from onext.cloud import model as cloud
from onext.cloud.model import Network, scalar

SCRAPE = "ONEXT_SCRAPE"
ONEADMIN = 0  # uid of the user, gid of the group
VM, NETWORK = 1 << 36, 1 << 38  # types of owners
Address = IPv4Address | IPv6Address

_ID = (1 << 32) - 1
_MAC = re.compile(r"[0-9a-fA-F]{2}(:[0-9a-fA-F]{2}){5}", re.ASCII)
_TYPES_4 = {"IP4", "IP4_6", "IP4_6_STATIC"}
_TYPES_6 = {"IP6", "IP4_6"}  # a prefix, and the rest from the MAC address
_TYPES_6_STATIC = {"IP6_STATIC", "IP4_6_STATIC"}


@dataclass(frozen=True)
class AddressRange:
    """The addresses of one AR; `owners` holds the indexes that each packed owner has."""

    ip: int | None = None
    ip6: int | None = None
    prefixes: tuple[int, ...] = ()  # the upper 64 bits
    mac: int = 0
    external: Address | None = None  # EXTERNAL_IP, which interfaces inherit
    owners: Mapping[int, frozenset[int]] = field(default_factory=dict)

    @cached_property
    def shared(self) -> frozenset[int]:
        """The indexes that several owners have: whose VM answers at such an address changes (VRRP)."""
        holders = Counter(index for indexes in self.owners.values() for index in indexes)
        return frozenset(index for index, count in holders.items() if count > 1)

    def addresses(self, index: int) -> Iterator[Address]:
        """Yield the addresses of one index, which are those of one interface."""
        if self.ip is not None:
            yield IPv4Address((self.ip + index) & _ID)
        if self.ip6 is not None:
            yield IPv6Address(self.ip6 & ~_ID | (self.ip6 + index) & _ID)
        for prefix in self.prefixes:
            yield IPv6Address(prefix << 64 | _interface_id(self.mac, index))

    def allocates(self, address: Address, owner: int) -> bool:
        """Return whether `address` belongs to an index that `owner` has."""
        owned = self.owners.get(owner, frozenset())
        return any(index in owned and address in self.addresses(index) for index in self._indexes(address))

    def _indexes(self, address: Address) -> Iterator[int]:
        """Yield the indexes that an address can have."""
        number = int(address)
        if address.version == 4:
            yield (number - (self.ip or 0)) & _ID
            return
        yield (number - (self.ip6 or 0)) & _ID
        last_bytes = (number >> 40 & 0xFF) << 24 | number & 0xFFFFFF
        yield (last_bytes - self.mac) & _ID


@dataclass(frozen=True)
class VirtualNetwork:
    """A network. `administered`: only administrators can change it; `scrape`: ONEXT_SCRAPE as written."""

    id: int
    administered: bool
    scrape: str = ""  # YES, NO or empty
    parent: int = -1  # the network in which this one is a reservation
    template_external: Address | None = None  # EXTERNAL_IP of its template, which interfaces inherit
    ranges: tuple[AddressRange, ...] = ()

    @cached_property
    def translates(self) -> bool:
        """Whether any address here may have an external one."""
        return self.template_external is not None or any(part.external for part in self.ranges)

    def allocates(self, address: Address, owner: int) -> bool:
        """Return whether `address` is allocated here to a packed owner."""
        return any(part.allocates(address, owner) for part in self.ranges)

    def external(self, address: Address, owner: int) -> Iterator[Address]:
        """Yield the addresses by which others reach an address that is allocated here to `owner`."""
        for part in self.ranges:
            if part.allocates(address, owner):
                yield from (one for one in (part.external, self.template_external) if one is not None)


def of_network(network: Network, administrators: Collection[int]) -> VirtualNetwork:
    """Return the relevant values of a network; `administrators` are the ids of the users in oneadmin."""
    scrape = scalar(network.template, SCRAPE).strip().upper()
    return VirtualNetwork(
        id=network.id,
        administered=_administered(network, administrators),
        scrape=scrape if scrape in ("YES", "NO") else "",
        parent=network.parent_id,
        template_external=_address(scalar(network.template, "EXTERNAL_IP")),
        ranges=tuple(map(_range, network.ranges)),
    )


def _administered(network: Network, administrators: Collection[int]) -> bool:
    """Whether an administrator owns the network, and no other user may change its template or ranges."""
    by_group = network.group_manages and network.gid != ONEADMIN
    owned = network.uid == ONEADMIN or network.uid in administrators
    return owned and not by_group and not network.others_manage


def _range(part: cloud.AddressRange) -> AddressRange:
    first4, first6 = _address(part.ip), _address(part.ip6)
    prefixes = map(_address, (part.global_prefix, part.ula_prefix)) if part.type in _TYPES_6 else ()
    return AddressRange(
        ip=int(first4) if part.type in _TYPES_4 and isinstance(first4, IPv4Address) else None,
        ip6=int(first6) if part.type in _TYPES_6_STATIC and isinstance(first6, IPv6Address) else None,
        prefixes=tuple(int(one) >> 64 for one in prefixes if isinstance(one, IPv6Address)),
        mac=_mac(part.mac),
        external=_address(part.external_ip),
        owners=part.owners,
    )


def _interface_id(mac: int, index: int) -> int:
    """Return the modified EUI-64 of an index's MAC address; only the last four bytes count up."""
    low = (mac + index) & _ID
    return ((mac >> 32 & 0xFFFF) ^ 0x0200) << 48 | low >> 24 << 40 | 0xFFFE << 24 | low & 0xFFFFFF


def _mac(written: str) -> int:
    return int(written.replace(":", ""), 16) if _MAC.fullmatch(written) else 0


def _address(written: str) -> Address | None:
    try:
        return ip_address(written.strip())
    except ValueError:
        return None
