"""Which addresses may be scraped for a VM. In doubt an address is refused.

A target makes Prometheus, which is inside the management network, send requests and show the answers:
without this guard every tenant could read every exporter, BMC page and metadata service.
An address counts only when a network assigns it to the VM (hooks.targets.leases); the VM's template decides
only the order of its assigned addresses.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import IPv4Network, IPv6Network

from hooks.targets.inventory import Vm
from hooks.targets.leases import Lease
from hooks.targets.user_template import Address, Refused, Wish, shown
from onext.settings.targets import Targets

Reaches = Callable[[Address], bool]  # whether the front-end has a route
_SHOWN = 3
_DISGUISES = tuple(map(IPv6Network, ("64:ff9b::/96", "64:ff9b:1::/48", "2001::/32", "2002::/16", "::/96")))
_THIS_NETWORK = IPv4Network("0.0.0.0/8")
_METADATA = ("fd00:ec2::254", "100.100.100.200", "168.63.129.16")


@dataclass(frozen=True)
class Policy:
    """The administrator's rules, and the addresses that are never a VM's.

    `unprotected` names front-ends and hosts with unknown addresses: any address could belong to them.
    """

    settings: Targets
    protected: frozenset[Address]
    reaches: Reaches
    unprotected: tuple[str, ...] = ()

    def address(self, vm: Vm, leases: Mapping[Address, Lease], wish: Wish) -> Address:
        """Return the address to scrape for a wish of a VM with these leases; raise Refused."""
        if self.unprotected:
            raise Refused(f"{shown(wish.text)}: {unknown(self.unprotected)}")
        if wish.address is None:
            return self._own(vm, leases, wish)
        if wish.address not in leases and not self.settings.allow_foreign_targets:
            raise Refused(f"{shown(wish.text)}: no network assigns {wish.address} to this VM")
        if reason := self._why_not(wish.address, leases.get(wish.address)):
            raise Refused(f"{shown(wish.text)}: {reason}")
        return wish.address

    def _own(self, vm: Vm, leases: Mapping[Address, Lease], wish: Wish) -> Address:
        """Return the VM's address that is allowed, reachable and of the preferred family."""
        if not vm.addresses:
            raise Refused(f"{shown(wish.text)}: this VM has no address")
        mine = [address for address in vm.addresses if address in leases]
        if not mine:
            raise Refused(f"{shown(wish.text)}: no network assigns {vm.addresses[0]} to this VM")
        reasons = {address: self._why_not(address, leases[address]) for address in mine}
        allowed = [address for address, reason in reasons.items() if not reason]
        if not allowed:
            raise Refused(f"{shown(wish.text)}: {reasons[mine[0]]}")
        families = {"ipv6": (6,), "ipv4": (4,), "auto": (6, 4)}[self.settings.family]
        for family in families:
            for address in allowed:
                if address.version == family and self.reaches(address):
                    return address
        listed = ", ".join(map(str, allowed[:_SHOWN]))
        raise Refused(f"{shown(wish.text)}: the front-end has no route to {listed}")

    def _why_not(self, address: Address, lease: Lease | None) -> str:
        """Return why an address may not be scraped, empty when it may."""
        if reason := special(address):
            return f"{address} is {reason}"
        if lease is not None and lease.shared:
            return f"{address} is assigned to several VMs (SHARED address range): name one of this VM alone"
        if address in self.protected:
            return f"{address} belongs to a front-end, a host or a BMC"
        if any(address in prefix for prefix in self.settings.forbidden):
            return f"{address} is in a prefix that the settings forbid"
        listed = any(address in prefix for prefix in self.settings.networks)
        if listed or (lease is not None and lease.opened):
            return ""
        return f"{address} is in no network that an administrator opened (ONEXT_SCRAPE)"


def unknown(names: tuple[str, ...]) -> str:
    """Return why no VM may be scraped while the addresses of front-ends or hosts are not known."""
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return f"no VM is scraped while the addresses of {', '.join(names[:_SHOWN])}{more} are unknown"


@lru_cache(65_536)
def special(address: Address) -> str:
    """Return what an address is when it cannot be a VM's: loopback, link-local and so on."""
    disguised = address.version == 6 and (
        address.ipv4_mapped is not None or any(address in prefix for prefix in _DISGUISES)
    )
    kinds = {
        "unspecified": address.is_unspecified,
        "loopback": address.is_loopback,
        "an IPv4 address in disguise": disguised,
        "link-local": address.is_link_local,
        "multicast": address.is_multicast,
        "reserved": address.is_reserved and not (address.version == 6 and address.is_global),
        "this network": address in _THIS_NETWORK,
        "a metadata service": str(address) in _METADATA,
    }
    return next((kind for kind, holds in kinds.items() if holds), "")
