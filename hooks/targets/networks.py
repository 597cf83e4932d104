"""Virtual networks as the guard of targets sees them: whose they are, and which address they assign to whom.

`one.vnpool.info` holds, for each address range, ALLOCATED: pairs of an index in the range and the packed
owner, whose type is in the upper 32 bits (PoolObjectSQL::ObjectType) and whose id is in the lower. From the
index follow the addresses, as oned's AddressRange.cc makes them. A shared range has several owners for one
index. A reservation is a network whose addresses its parent allocates to it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv6Address, ip_address

from hooks.targets.fields import Fields, number
from onext import bounds
from onext.oned.elements import children, text

SCRAPE = "ONEXT_SCRAPE"
ONEADMIN = 0  # uid of the user, gid of the group
VM, NETWORK = 1 << 36, 1 << 38  # types of owners
Address = IPv4Address | IPv6Address

_ID = (1 << 32) - 1
_LARGEST_SIZE = 1 << 24  # addresses of one range: more than a /8
_LONGEST_OWNERS = 1 << 26  # characters of ALLOCATED
_TYPES_4 = {"IP4", "IP4_6", "IP4_6_STATIC"}
_TYPES_6 = {"IP6", "IP4_6"}  # a prefix, and the rest from the MAC address
_TYPES_6_STATIC = {"IP6_STATIC", "IP4_6_STATIC"}


@dataclass(frozen=True)
class AddressRange:
    """The addresses of one AR; `owners` holds the indexes that each packed owner has."""

    size: int
    ip: int | None = None
    ip6: int | None = None
    prefixes: tuple[int, ...] = ()  # the upper 64 bits
    mac: int = 0
    external: Address | None = None  # EXTERNAL_IP, which interfaces inherit
    owners: Mapping[int, frozenset[int]] = field(default_factory=dict)

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
    name: str
    administered: bool
    scrape: str = ""  # YES, NO or empty
    parent: int = -1  # the network in which this one is a reservation
    template_external: Address | None = None  # EXTERNAL_IP of its template, which interfaces inherit
    ranges: tuple[AddressRange, ...] = ()

    def allocates(self, address: Address, owner: int) -> bool:
        """Return whether `address` is allocated here to a packed owner."""
        return any(part.allocates(address, owner) for part in self.ranges)

    def external(self, address: Address, owner: int) -> Iterator[Address]:
        """Yield the addresses by which others reach an address that is allocated here to `owner`."""
        for part in self.ranges:
            if part.allocates(address, owner):
                yield from (one for one in (part.external, self.template_external) if one is not None)


def read(element: bytes, administrators: Collection[int]) -> VirtualNetwork:
    """Read one `<VNET>` (plain form); `administrators` are the ids of the users in oneadmin.

    Raises ValueError, KeyError or Malformed. What is unknown about permissions counts as granted.
    """
    fields = dict(children(element[len("<VNET>") : -len("</VNET>")]))
    template = dict(children(fields.get(b"TEMPLATE", b"")))
    scrape = text(template.get(SCRAPE.encode(), b"")).strip().upper()
    return VirtualNetwork(
        id=number(fields, b"ID"),
        name=bounds.words(text(fields[b"NAME"]), 128),
        administered=_administered(fields, administrators),
        scrape=scrape if scrape in ("YES", "NO") else "",
        parent=number(fields, b"PARENT_NETWORK_ID") if fields.get(b"PARENT_NETWORK_ID") else -1,
        template_external=_address(template, b"EXTERNAL_IP"),
        ranges=tuple(
            _range(dict(children(content)))
            for tag, content in children(fields.get(b"AR_POOL", b""))
            if tag == b"AR"
        ),
    )


def _administered(fields: Fields, administrators: Collection[int]) -> bool:
    """Whether an administrator owns the network, and nobody else may change its template or ranges."""
    permissions = dict(children(fields.get(b"PERMISSIONS", b"")))
    owner, group = number(fields, b"UID"), number(fields, b"GID")
    others = (b"OTHER",) if group == ONEADMIN else (b"GROUP", b"OTHER")
    rights = (who + what for who in others for what in (b"_M", b"_A"))
    granted = any(permissions.get(right) != b"0" for right in rights)
    return (owner == ONEADMIN or owner in administrators) and not granted


def _range(parts: Fields) -> AddressRange:
    kind = text(parts.get(b"TYPE", b"")).strip().upper()
    first4, first6 = _address(parts, b"IP"), _address(parts, b"IP6")
    prefixes = (_address(parts, key) for key in (b"GLOBAL_PREFIX", b"ULA_PREFIX"))
    size = bounds.whole(text(parts.get(b"SIZE", b"")), 0, _LARGEST_SIZE) or 0
    return AddressRange(
        size=size,
        ip=int(first4) if kind in _TYPES_4 and isinstance(first4, IPv4Address) else None,
        ip6=int(first6) if kind in _TYPES_6_STATIC and isinstance(first6, IPv6Address) else None,
        prefixes=tuple(int(one) >> 64 for one in prefixes if one is not None and one.version == 6)
        if kind in _TYPES_6
        else (),
        mac=_mac(text(parts.get(b"MAC", b""))),
        external=_address(parts, b"EXTERNAL_IP"),
        owners=_owners(text(parts.get(b"ALLOCATED", b"")), size),
    )


def _owners(allocated: str, size: int) -> dict[int, frozenset[int]]:
    """Read ALLOCATED; where any of it cannot be read, nothing is allocated."""
    words = allocated.split() if len(allocated) <= _LONGEST_OWNERS else ["too long"]
    if len(words) % 2 or not all(len(word) < 20 and word.isascii() and word.isdecimal() for word in words):
        raise ValueError(f"ALLOCATED is not pairs of numbers: {bounds.words(allocated, 40)!r}")
    found: dict[int, set[int]] = {}
    for index, owner in zip(map(int, words[::2]), map(int, words[1::2]), strict=True):
        if index < size:
            found.setdefault(owner, set()).add(index)
    return {owner: frozenset(indexes) for owner, indexes in found.items()}


def _interface_id(mac: int, index: int) -> int:
    """Return the modified EUI-64 of an index's MAC address; only the last four bytes count up."""
    low = (mac + index) & _ID
    return ((mac >> 32 & 0xFFFF) ^ 0x0200) << 48 | low >> 24 << 40 | 0xFFFE << 24 | low & 0xFFFFFF


def _mac(written: str) -> int:
    digits = written.strip().replace(":", "")
    if not digits:
        return 0
    if len(digits) != 12 or not digits.isalnum() or not digits.isascii():
        raise ValueError(f"MAC is {bounds.words(written, 40)!r}")
    return int(digits, 16)


def _address(parts: Fields, key: bytes) -> Address | None:
    try:
        return ip_address(text(parts.get(key, b"")).strip()[:64])
    except ValueError:
        return None
