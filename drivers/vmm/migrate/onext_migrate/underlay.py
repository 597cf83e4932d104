"""The way to the other host: addresses, device and MTU, all from the routing table.

A host's own name is never looked up: Debian's /etc/hosts has 127.0.1.1 for it.
"""

import ipaddress
import json
import socket
from typing import List, NamedTuple

from . import net_devices
from .commands import run
from .endpoint_spec import PAIR, PEERS
from .errors import CommandError, TunnelError

# What VXLAN adds: outer IP, UDP 8, VXLAN 8, inner Ethernet 14
OVERHEAD = {4: 20 + 8 + 8 + 14, 6: 40 + 8 + 8 + 14}
# outer IP, UDP 8, WireGuard's header 16 and tag 16, whose content is padded to 16 bytes at most up to the MTU
_WIREGUARD = {4: 20 + 8 + 32, 6: 40 + 8 + 32}
_ADDRESSES = 4  # of a host's are tried, at some seconds each
LEAST_MTU = 1280  # IPv6 does not run on less
_FAMILIES = {"auto": socket.AF_UNSPEC, "ipv4": socket.AF_INET, "ipv6": socket.AF_INET6}


class Underlay(NamedTuple):
    """The way from here to there; `mtu` is what the tunnel's own device may have, a VXLAN one."""

    local: str
    remote: str
    device: str
    mtu: int


def resolve(host: str, family: str) -> List[str]:
    """Return the host's addresses in the resolver's order, none of them this machine's loopback."""
    try:
        answers = socket.getaddrinfo(host, None, _FAMILIES[family], socket.SOCK_STREAM)
    except OSError as error:
        raise TunnelError(f"{host}: no address: {error.strerror or error}") from error
    addresses = [str(answer[4][0]).partition("%")[0] for answer in answers]
    usable = [one for one in addresses if _routable(one)]
    if not usable:
        raise TunnelError(f"{host}: no address that another host can be reached at (found {addresses})")
    return usable


def ways_to(host: str, family: str) -> List[Underlay]:
    """Return the ways to a host by name, the resolver's first address first.

    Raise TunnelError when none of its addresses has a route.
    """
    ways, problems = [], []
    for address in resolve(host, family)[:_ADDRESSES]:
        try:
            ways.append(route(address))
        except TunnelError as error:
            problems.append(str(error))
    if not ways:
        said = "; ".join(problems)
        raise TunnelError(f"no route to {host}: {said}")
    return ways


def route(remote: str, local: str = "") -> Underlay:
    """Return the way to an address, from our address `local` where that is given, asked of the kernel.

    Raise TunnelError without a way, and when `local` is not an address of this host.
    """
    try:
        said = run(
            ["ip", "-j", "route", "get", remote, *(["from", local] if local else [])], timeout=5
        ).stdout
    except CommandError as error:
        raise TunnelError(
            f"no route to {remote}{local and f' from {local}'}: {error.output.strip()}"
        ) from error
    answer = read_route(said, remote, local)
    return answer._replace(mtu=min(answer.mtu or 65535, net_devices.mtu(answer.device)) - overhead(remote))


def read_route(text: str, remote: str, local: str = "") -> Underlay:
    """Parse `ip -j route get`; `mtu` is the route's own metric, 0 where it has none."""
    try:
        entry = json.loads(text)[0]
        if entry.get("type") == "local" or entry["dev"] == "lo":
            raise TunnelError(f"{remote} is an address of this host")
        metrics = entry.get("metrics") or [{}]
        return Underlay(local or entry["prefsrc"], remote, entry["dev"], int(metrics[0].get("mtu", 0)))
    except (ValueError, LookupError, TypeError) as error:
        raise TunnelError(f"no route to {remote}: {error!r} in {text[:200]!r}") from error


def room(way: Underlay, kind: str) -> int:
    """Return the MTU that a datapath's device may have on this way."""
    return way.mtu + overhead(way.remote) - added(kind, way.remote)


def added(kind: str, address: str) -> int:
    """Return the bytes that a datapath adds to each packet; peers that are there anyway add nothing more."""
    version = ipaddress.ip_address(address).version
    return {PAIR: _WIREGUARD[version], PEERS: 0}.get(kind, OVERHEAD[version])


def overhead(address: str) -> int:
    """Return the bytes that VXLAN adds over this address family."""
    return OVERHEAD[ipaddress.ip_address(address).version]


def _routable(address: str) -> bool:
    ip = ipaddress.ip_address(address)
    return not (ip.is_loopback or ip.is_link_local or ip.is_unspecified or ip.is_multicast)
