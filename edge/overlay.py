"""The overlay's network, IPv6 or IPv4, and how its addresses are written for `ip`, `wg` and `nft`.

Node program and front-end use it alike.
"""

import socket
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Any, List, Union

Address = Union[IPv4Address, IPv6Address]
Pool = Union[IPv4Network, IPv6Network]
LOCAL = ("fc00::/7", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10")
EXAMPLES = "10.77.0.0/16 or fd12:3456:789a::/64"
LENGTHS = {6: (48, 96), 4: (8, 24)}  # of a pool's prefix
_LOCAL = tuple(ip_network(one) for one in LOCAL)


def pool(text: object) -> Pool:
    """Return a network from which nodes may have addresses; raise ValueError.

    Anything else would take the node's other traffic into the tunnel: the internet, or its own network.
    """
    found = _network(str(text))
    if not any(_within(found, one) for one in _LOCAL):
        raise ValueError(
            f"{found} is not a private network: take a part of {LOCAL[0]}, or of {', '.join(LOCAL[1:])}"
        )
    low, high = LENGTHS[found.version]
    if not low <= found.prefixlen <= high:
        raise ValueError(f"{found} has the wrong size: IPv{found.version} pools are from /{low} to /{high}")
    return found


def _network(text: str) -> Pool:
    try:
        found = ip_network(text, strict=False)
    except ValueError:
        raise ValueError(f"{text[:60]!r} is not a network such as {EXAMPLES}") from None
    if "/" not in text:
        raise ValueError(f"{text} is one address, not a network such as {EXAMPLES}")
    if str(found.network_address) != str(ip_address(text.partition("/")[0])):
        raise ValueError(f"{text} is an address of the network {found}")
    return found


def within(text: object, network: Pool) -> Address:
    """Return an address of a network; raise ValueError."""
    address = ip_address(str(text))
    if address.version != network.version or address not in network:
        raise ValueError(f"{address} is not in the pool")
    return address


def taken(network: Pool, routes: str, own: str) -> str:
    """Return what this machine reaches at a pool's addresses by interfaces other than `own`, empty for none.

    `routes` is the text of `ip route show`. A larger network that contains the pool does not count: the
    pool's route is preferred.
    """
    for line in routes.splitlines():
        words = line.split()
        device = words[words.index("dev") + 1] if "dev" in words[:-1] else ""
        if device not in ("", "lo", own):
            for word in words:
                if _is_part(word, network):
                    return f"{word} by {device}"
    return ""


def single(address: object) -> str:
    """Return the network that is one address."""
    return str(address) + ("/128" if ":" in str(address) else "/32")


def ip(address: object) -> List[str]:
    """Return the words that begin an `ip` command for the family of an address or network."""
    return ["ip", "-6" if ":" in str(address) else "-4"]


def family(address: object) -> "socket.AddressFamily":
    """Return the family of a socket for an address."""
    return socket.AF_INET6 if ":" in str(address) else socket.AF_INET


class Names:
    """The words of nftables for one family."""

    def __init__(self, address: object) -> None:
        version6 = ":" in str(address)
        self.header = "ip6" if version6 else "ip"
        self.type = "ipv6_addr" if version6 else "ipv4_addr"
        self.protocol = "ipv6" if version6 else "ipv4"
        self.echo = ("icmpv6" if version6 else "icmp") + " type echo-request"


def _is_part(text: str, network: Pool) -> bool:
    try:
        return _within(ip_network(text, strict=False), network)
    except ValueError:
        return False


def _within(inner: Any, outer: Any) -> bool:  # noqa: ANN401 - Python 3.6 has no subnet_of
    return bool(
        inner.version == outer.version
        and outer.network_address <= inner.network_address
        and inner.broadcast_address <= outer.broadcast_address
    )
