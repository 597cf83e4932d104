"""A cloud of one VM, one host and one open network, to be changed by each test."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Any

from hooks.targets.decide import decide
from hooks.targets.inventory import Host, Inventory, Vm
from hooks.targets.leases import Leases
from hooks.targets.networks import VM, Address, AddressRange, VirtualNetwork
from onext.settings.targets import Targets

V4, V6 = ip_address("10.0.0.7"), ip_address("2001:db8::7")
EXAMPLE = Vm(42, "web", user=5, host=3, cluster=100, wanted="9100", addresses=(V4,))
NODE = Host(3, "node-a1", 100, "52.5,13.4")
OTHERS = VM | 7


def leasing(
    *addresses: Address, vm: int = 42, number: int = 1, scrape: str = "YES", administered: bool = True
) -> VirtualNetwork:
    """Return a network that assigns these addresses to a VM, each from a range of its own."""
    ranges = tuple(
        AddressRange(
            ip=int(address) if isinstance(address, IPv4Address) else None,
            ip6=int(address) if isinstance(address, IPv6Address) else None,
            owners={VM | vm: frozenset({0})},
        )
        for address in addresses
    )
    return VirtualNetwork(number, administered, scrape, ranges=ranges)


INVENTORY = Inventory((EXAMPLE,), (NODE,), Leases.of_networks([leasing(V4, V6)]))


def everywhere(_: Address) -> bool:
    """Be a front-end with a route to each address."""
    return True


def with_vm(*networks: VirtualNetwork, **changes: Any) -> Inventory:
    """Return the cloud with another VM, and with other networks where there are any."""
    inventory = replace(INVENTORY, vms=(replace(EXAMPLE, **changes),))
    return replace(inventory, leases=Leases.of_networks(networks)) if networks else inventory


def given(*addresses: Address, **changes: Any) -> Inventory:
    """Return the cloud with a VM that really has these addresses."""
    return with_vm(leasing(*addresses), addresses=addresses, **changes)


def vms(inventory: Inventory, settings: Targets | None = None) -> list[str]:
    """Return the addresses of the VMs that are scraped."""
    return [target.address for target in decide(inventory, settings or Targets(), everywhere).of("vms")]


def reasons(inventory: Inventory, settings: Targets | None = None) -> list[str]:
    """Return why targets are refused."""
    return [one.reason for one in decide(inventory, settings or Targets(), everywhere).refusals]


def allocated(pairs: Mapping[int, int]) -> str:
    """Return ALLOCATED of a range as oned writes it, from index -> owner."""
    return "".join(f" {index} {owner}" for index, owner in pairs.items())
