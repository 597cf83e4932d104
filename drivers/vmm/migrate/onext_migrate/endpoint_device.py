"""One end of a tunnel as a network device: what is asked of any datapath, and which one does it.

A device never gets a configured address: sudo's rules do not allow `ip address`, and need not. Its IPv6
link-local address follows from its MAC; ARP is off, so the address is usable at once, and the far end is a
permanent neighbour, so that nothing on the wire can claim to be it.
"""

import ipaddress
from typing import List

from . import endpoint_kernel, endpoint_ovs, endpoint_peers, endpoint_wireguard, net_devices
from .commands import as_root, as_root_together, run
from .endpoint_spec import KERNEL, OVS, PAIR, PEERS, PORT_SETTINGS, EndpointSpec
from .errors import CommandError, TunnelError
from .identity import NAME
from .net_devices import address_follows_mac, exists, is_tun, is_vxlan, is_wireguard
from .waiting import until

_BUILDERS = {KERNEL: endpoint_kernel.build, OVS: endpoint_ovs.build, PAIR: endpoint_wireguard.build}


def build(plan: EndpointSpec) -> None:
    """Build this end, or take over one that a crash left: its name shows that it is the same."""
    name = plan.identity.name
    if plan.kind == PEERS:
        endpoint_peers.check(plan, _has_address(name, plan.identity.near.inside))
        return
    if exists(name) and _has_address(name, plan.identity.near.inside):
        repair(plan)
        set_mtu(plan, plan.mtu)
        return
    if exists(name):
        tear_down(name)
    try:
        _BUILDERS[plan.kind](plan)
        _raise_link(plan)
    except TunnelError as error:
        tear_down(name)
        if isinstance(error, CommandError) and "Address already in use" in error.output:
            setting = PORT_SETTINGS[plan.kind]
            raise TunnelError(
                f"UDP port {plan.port} is used by another program or VXLAN device: set another {setting}"
            ) from error
        raise


def tear_down(name: str) -> None:
    """Take this end away, whichever datapath it is on. A missing device is not an error.

    wireguard-go ends with its device. A device that this driver did not make stays.
    """
    if not NAME.match(name):
        return
    if is_vxlan(name) or is_wireguard(name) or is_tun(name):
        done = as_root(["ip", "link", "delete", "dev", name], check=False)
        if done.exit_code and exists(name):
            raise CommandError(["ip", "link", "delete", "dev", name], done.exit_code, done.stderr)
    elif exists(name) or endpoint_ovs.knows(name):
        endpoint_ovs.tear_down(name)


def get_mtu(plan: EndpointSpec) -> int:
    """Return the MTU of this end; raise TunnelError where peers that are there anyway have no way."""
    return endpoint_peers.mtu(plan) if plan.kind == PEERS else net_devices.mtu(plan.identity.name)


def set_mtu(plan: EndpointSpec, mtu: int) -> None:
    """Make the device's MTU smaller (or larger) in place; one that this driver did not make keeps its own."""
    if plan.kind == PEERS:
        return
    if plan.kind == OVS:
        endpoint_ovs.set_mtu(plan.identity.name, mtu)
    else:
        as_root(["ip", "link", "set", "dev", plan.identity.name, "mtu", str(mtu)])


def _raise_link(plan: EndpointSpec) -> None:
    """Start the device: address detection takes a second, unless ARP was off *before* it started."""
    name, inside = plan.identity.name, plan.identity.near.inside
    change = ["ip", "link", "set", "dev", name]
    if plan.kind == PAIR:
        as_root([*change, "up"])
        endpoint_wireguard.address(plan)
    else:
        _raise_ethernet(plan, change)
    if not until(lambda: _has_address(name, inside), 2.0, 0.001):
        raise TunnelError(
            f"{name} has no address {inside}: is IPv6 switched off on this host (disable_ipv6)?"
        )


def _raise_ethernet(plan: EndpointSpec, change: List[str]) -> None:
    name, far = plan.identity.name, plan.identity.far
    if plan.kind == OVS:
        as_root([*change, "arp", "off"])
    if not address_follows_mac(name):
        as_root([*change, "addrgenmode", "eui64"])
    neighbour = ["ip", "neighbour", "replace", far.inside, "lladdr", far.mac, "dev", name, "nud", "permanent"]
    as_root_together([[*change, "up"], neighbour])


def _has_address(name: str, inside: str) -> bool:
    if ":" not in inside:
        return inside in _ipv4_addresses(name)
    wanted = ipaddress.IPv6Address(inside).packed.hex()
    try:
        with open("/proc/net/if_inet6") as file:
            json_lines = [line.split() for line in file]
    except OSError:
        return False
    tentative = 0x40
    return any(one[0] == wanted and one[5] == name and not int(one[4], 16) & tentative for one in json_lines)


def _ipv4_addresses(name: str) -> List[str]:
    """Return a device's IPv4 addresses: peers that are there anyway may have such ones only."""
    shown = run(["ip", "-4", "-o", "address", "show", "dev", name], timeout=5, check=False).stdout
    return [words[3].partition("/")[0] for words in map(str.split, shown.splitlines()) if words[2] == "inet"]


def repair(plan: EndpointSpec) -> bool:
    """Make this end whole again: build it where it is gone, with the index that its sockets know; raise it.

    Return whether there was anything to repair.
    """
    name = plan.identity.name
    if plan.kind == PEERS or not exists(name):  # other peers' device is followed by who made it
        build(plan)
        return plan.kind != PEERS
    lowered = not _has_address(name, plan.identity.near.inside)  # a device that is set down loses it
    if lowered:
        _raise_link(plan)
    return (plan.kind == OVS and endpoint_ovs.repair(plan)) or lowered
