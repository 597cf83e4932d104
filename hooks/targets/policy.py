"""Which addresses may be scraped in the name of a VM. Doubt is a no.

A target makes Prometheus, which stands inside the management network, send requests and show the answers:
without this guard every tenant could read every exporter, BMC page and metadata service.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from hooks.targets.inventory import Guest, Interface
from hooks.targets.networks import VirtualNetwork
from hooks.targets.user_template import Address, Refused, Wish
from onext.settings.targets import Targets

Reaches = Callable[[Address], bool]  # whether the front-end has a route


@dataclass(frozen=True)
class Policy:
    """The administrator's rules, and the addresses that are never a VM's."""

    settings: Targets
    networks: dict[int, VirtualNetwork]
    infrastructure: frozenset[Address]
    reaches: Reaches

    def address(self, guest: Guest, wish: Wish) -> Address:
        """Return the address to scrape for a wish; raise Refused with the reason."""
        if wish.address is None:
            return self._own(guest, wish)
        mine = [one for one in guest.interfaces if one.address == wish.address]
        if not mine and not self.settings.allow_foreign_targets:
            raise Refused(f"{wish.text!r} is none of this VM's addresses")
        if reason := self._why_not(wish.address, mine):
            raise Refused(f"{wish.text!r}: {reason}")
        return wish.address

    def _own(self, guest: Guest, wish: Wish) -> Address:
        """Return the VM's address that is allowed, reachable and of the preferred family."""
        if not guest.interfaces:
            raise Refused(f"{wish.text!r}: this VM has no address")
        reasons = {one.address: self._why_not(one.address, [one]) for one in guest.interfaces}
        allowed = [address for address, reason in reasons.items() if not reason]
        if not allowed:
            raise Refused(f"{wish.text!r}: {next(iter(reasons.values()))}")
        families = {"ipv6": (6,), "ipv4": (4,), "auto": (6, 4)}[self.settings.family]
        for family in families:
            for address in allowed:
                if address.version == family and self.reaches(address):
                    return address
        raise Refused(f"{wish.text!r}: the front-end has no route to {', '.join(map(str, allowed))}")

    def _why_not(self, address: Address, mine: list[Interface]) -> str:
        """Return why an address may not be scraped, empty when it may."""
        if reason := special(address):
            return f"{address} is {reason}"
        if address in self.infrastructure:
            return f"{address} belongs to a front-end, a host or a BMC"
        if any(address in prefix for prefix in self.settings.forbidden):
            return f"{address} lies in a prefix that the settings forbid"
        if any(address in prefix for prefix in self.settings.networks):
            return ""
        if any(self._leased(address, one.network) for one in mine):
            return ""
        return f"{address} lies in no network that an administrator allowed (ONEXT_SCRAPE)"

    def _leased(self, address: Address, network: int) -> bool:
        """Whether the network is allowed, and the address really one that it leases."""
        known = self.networks.get(network)
        return known is not None and known.allowed and any(address in part for part in known.ranges)


def special(address: Address) -> str:
    """Return what an address is when it can be no VM's: loopback, link-local and so on."""
    mapped = getattr(address, "ipv4_mapped", None) or getattr(address, "sixtofour", None)
    if mapped is not None:
        return "an IPv4 address in disguise"
    kinds = {
        "loopback": address.is_loopback,
        "link-local": address.is_link_local,
        "multicast": address.is_multicast,
        "unspecified": address.is_unspecified,
        "reserved": address.is_reserved and not (address.version == 6 and address.is_global),
        "a metadata service": str(address) in ("fd00:ec2::254", "100.100.100.200", "168.63.129.16"),
    }
    return next((kind for kind, holds in kinds.items() if holds), "")
