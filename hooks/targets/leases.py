"""Which addresses belong to which VM, by what the networks assign: never by its template.

A NIC without a network, or with NETWORK_MODE dummy or auto, keeps any address that its owner wrote there.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from hooks.targets.networks import NETWORK, VM, Address, AddressRange, VirtualNetwork

_DEEPEST = 8  # reservations in reservations
_ID = (1 << 32) - 1


class Lease(NamedTuple):
    """An address that a network assigns to a VM, and whether an administrator opened that network.

    `shared`: other VMs have it too, in a SHARED range.
    """

    address: Address
    network: int
    opened: bool
    shared: bool = False


@dataclass(frozen=True)
class Leases:
    """What all networks assign, by VM."""

    networks: Mapping[int, VirtualNetwork]
    places: Mapping[int, tuple[tuple[VirtualNetwork, AddressRange, int], ...]]  # by the VM's id
    _found: dict[int, dict[Address, Lease]] = field(default_factory=dict, compare=False, repr=False)

    @classmethod
    def of_networks(cls, networks: Iterable[VirtualNetwork]) -> Leases:
        """Return the leases of all VMs."""
        known = {network.id: network for network in networks}
        places: dict[int, list[tuple[VirtualNetwork, AddressRange, int]]] = {}
        for network in known.values():
            for part in network.ranges:
                for owner, indexes in part.owners.items():
                    if owner & ~_ID == VM:
                        places.setdefault(owner & _ID, []).extend((network, part, i) for i in sorted(indexes))
        return cls(known, {vm: tuple(found) for vm, found in places.items()})

    def of(self, vm: int) -> Mapping[Address, Lease]:
        """Return the addresses of a VM; where two networks assign one, an open network counts."""
        if vm not in self._found:
            self._found[vm] = self._of(vm)
        return self._found[vm]

    def _of(self, vm: int) -> dict[Address, Lease]:
        found: dict[Address, Lease] = {}
        for network, part, index in self.places.get(vm, ()):
            shared = index in part.shared
            for address in part.addresses(index):
                for lease in self._assigned(network, address, VM | vm, shared=shared):
                    if lease.address not in found or lease.opened:
                        found[lease.address] = lease
        return found

    def _assigned(
        self, network: VirtualNetwork, address: Address, owner: int, *, shared: bool
    ) -> Iterator[Lease]:
        chain = self._chain(network, address)
        if not any(one.administered for one in chain):
            return  # the network's owner chose its addresses
        opened = _opened(chain)
        yield Lease(address, network.id, opened, shared)
        for one in chain:
            if one.administered and one.translates:
                yield from (Lease(other, network.id, opened) for other in one.external(address, owner))
            owner = NETWORK | one.id

    def _chain(self, network: VirtualNetwork, address: Address) -> list[VirtualNetwork]:
        """Return the network and the networks in which it has `address` reserved, innermost first."""
        chain = [network]
        while chain[-1].parent >= 0 and len(chain) < _DEEPEST:
            parent = self.networks.get(chain[-1].parent)
            if parent is None or not parent.allocates(address, NETWORK | chain[-1].id):
                break
            chain.append(parent)
        return chain


def _opened(chain: Iterable[VirtualNetwork]) -> bool:
    """Whether the innermost ONEXT_SCRAPE that counts is YES: YES of administrators, NO of any user."""
    words = [one.scrape for one in chain if one.scrape == "NO" or (one.scrape and one.administered)]
    return words[:1] == ["YES"]
