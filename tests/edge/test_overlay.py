"""The overlay's network: private ones only, of both families, and never one that a machine has otherwise."""

from __future__ import annotations

import socket
from ipaddress import ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge import overlay

ROUTES = """default via 192.168.1.1 dev eth0 proto dhcp src 192.168.1.10 metric 100
10.0.0.0/8 via 192.168.1.254 dev eth0
10.77.0.0/22 dev onext-edge metric 256 mtu 1280
10.88.3.0/24 dev virbr0 proto kernel scope link src 10.88.3.1 linkdown
unreachable 10.99.0.0/16 dev lo metric 1024
172.20.0.9 dev tun0 scope link
blackhole 192.168.0.0/16
"""


@pytest.mark.parametrize(
    "text",
    ["fd00::/64", "fd12:3456:789a::/48", "fd00::/96", "10.77.0.0/16", "10.0.0.0/8", "172.16.0.0/12",
     "192.168.4.0/24", "100.64.0.0/10"],
)  # fmt: skip
def test_private_networks_are_pools(text: str) -> None:
    """An operator has a plan of addresses, in which one of these is free."""
    assert str(overlay.pool(text)) == text


@pytest.mark.parametrize(
    "text",
    ["0.0.0.0/0", "::/0", "0.0.0.0/8", "8.8.8.0/24", "127.0.0.0/8", "169.254.0.0/16", "224.0.0.0/8",
     "172.0.0.0/8", "192.168.0.0/25", "10.77.0.1/16", "2001:db8::/64", "fe80::/64", "::1/96", "fd00::/47",
     "fd00::/97", "fc00::/7", "x", "", "10.77.0.0", "10.77.0.0/16\n", "192.0.2.0/24", "198.18.0.0/16"],
)  # fmt: skip
def test_other_networks_are_refused(text: str) -> None:
    """A node whose internet or loopback goes into the tunnel is lost."""
    with pytest.raises(ValueError, match=r"."):
        overlay.pool(text)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("nonsense", "is not a network such as 10.77.0.0/16"), ("10.77.0.0", "is one address"),
        ("10.77.0.5/16", "is an address of the network 10.77.0.0/16"), ("8.8.8.0/24", "is not a private network"),
        ("10.77.0.0/25", "wrong size: IPv4 pools are from /8 to /24"), ("fd00::/97", "from /48 to /96"),
    ],
)  # fmt: skip
def test_a_refused_pool_is_told_why(text: str, message: str) -> None:
    """A private network of the wrong size was called not private."""
    with pytest.raises(ValueError, match=message):
        overlay.pool(text)


@given(st.ip_addresses(v=4) | st.ip_addresses(v=6), st.sampled_from(["fd00::/64", "10.77.0.0/22"]))
def test_an_address_is_of_the_pool_or_refused(address: object, pool: str) -> None:
    """An address outside would be a route to somebody else's machine."""
    network = overlay.pool(pool)
    if address in ip_network(pool):
        assert overlay.within(str(address), network) == address
    else:
        with pytest.raises(ValueError, match="not in the pool"):
            overlay.within(str(address), network)


@pytest.mark.parametrize(
    ("pool", "found"),
    [
        ("10.77.0.0/16", ""),  # our own interface has a part of it
        ("10.88.0.0/16", "10.88.3.0/24 by virbr0"),
        ("10.88.3.0/24", "10.88.3.0/24 by virbr0"),
        ("192.168.1.0/24", "192.168.1.1 by eth0"),
        ("172.20.0.0/16", "172.20.0.9 by tun0"),
        ("10.99.0.0/16", ""),
        ("10.0.0.0/8", "10.0.0.0/8 by eth0"),
        ("fd00::/64", ""),
    ],
)
def test_a_pool_that_a_machine_reaches_otherwise(pool: str, found: str) -> None:
    """A node cannot reach hubs whose addresses are in its own network, and sees no reason."""
    assert overlay.taken(overlay.pool(pool), ROUTES, "onext-edge") == found


def test_own_interface_is_found_by_its_whole_name() -> None:
    """Another network's interface counts, whatever it is called."""
    assert (
        overlay.taken(overlay.pool("10.77.0.0/16"), "10.77.1.7/24 dev eth1\n", "x") == "10.77.1.7/24 by eth1"
    )
    line = "10.77.1.0/24 dev onext-edge2 scope link\n"
    assert overlay.taken(overlay.pool("10.77.0.0/16"), line, "onext-edge") == "10.77.1.0/24 by onext-edge2"


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("10.77.0.1", ("/32", "-4", "ip", "ipv4_addr", "ipv4", "icmp type echo-request")),
        ("fd00::1", ("/128", "-6", "ip6", "ipv6_addr", "ipv6", "icmpv6 type echo-request")),
    ],
)
def test_commands_are_given_the_words_of_the_address_family(address: str, words: tuple[str, ...]) -> None:
    """A rule or route of the other family matches nothing: the tunnel is up and nothing passes."""
    names = overlay.Names(address)
    found = (names.header, names.type, names.protocol, names.echo)
    assert (overlay.single(address), overlay.ip(address)) == (address + words[0], ["ip", words[1]])
    assert found == words[2:]
    assert overlay.family(address) == (socket.AF_INET6 if ":" in address else socket.AF_INET)


def test_a_refused_network_is_answered_with_those_that_are_accepted() -> None:
    """Whoever plans an overlay reads which networks there are to take."""
    with pytest.raises(ValueError, match="not a private network") as found:
        overlay.pool("8.8.8.0/24")
    assert str(found.value) == (
        "8.8.8.0/24 is not a private network: take a part of fc00::/7,"
        " or of 10.0.0.0/8, 172.16.0.0/12, 192.168.0.0/16, 100.64.0.0/10"
    )


def test_addresses_of_the_pool_and_beside_it() -> None:
    """The first or last address of a pool would be refused, or the first one behind it be routed."""
    for pool, inside, outside in (
        ("fd00::/64", ("fd00::", "fd00::ffff:ffff:ffff:ffff"), ("fd00:0:0:1::", "10.0.0.1", "x", "")),
        (
            "10.77.0.0/16",
            ("10.77.0.0", "10.77.255.255"),
            ("10.78.0.0", "10.76.255.255", "::a4d:1", "fd00::1"),
        ),
    ):
        network = overlay.pool(pool)
        assert [str(overlay.within(text, network)) for text in inside] == [*inside]
        for text in outside:
            with pytest.raises(ValueError, match=r"."):
                overlay.within(text, network)
