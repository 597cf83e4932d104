"""What the hub gives `wg` and `nft`: bounds of every value, and the rules as a whole."""

from __future__ import annotations

import pytest

from hooks.edge import hub_plan
from tests.hooks.edge.test_requests import listed

KEYS = ("A" * 43 + "=", "B" * 42 + "A=", "C" * 42 + "A=")


def with_peers(*peers: tuple[str, int]) -> dict[str, object]:
    """Return a list with these addresses and clusters."""
    rows = [
        {"key": key, "address": address, "cluster": cluster}
        for key, (address, cluster) in zip(KEYS, peers, strict=False)
    ]
    return listed(peers=rows)


@pytest.mark.parametrize(
    ("name", "accepted", "refused"),
    [
        ("port", (1, 65535), (0, 65536)),
        ("mtu", (1280, 9000), (1279, 9001)),
        ("own_ports", ([], [1, 65535]), ([0], [65536], [True])),
        ("node_ports", ([], [[1, 65535], [65535, 65535], [1, 1]]), ([[0, 1]], [[1, 65536]], [[1, 0]], [[65536, 1]])),
    ],
)  # fmt: skip
def test_every_number_has_bounds(
    name: str, accepted: tuple[object, ...], refused: tuple[object, ...]
) -> None:
    """`nft` refuses the whole list because of one number: the hub gets no change any more."""
    for value in accepted:
        assert hub_plan.read(listed(**{name: value}))
    for value in refused:
        with pytest.raises(hub_plan.InvalidList):
            hub_plan.read(listed(**{name: value}))


def test_clusters_are_those_of_opennebula() -> None:
    """An invalid number would become part of a set's name in a rule."""
    assert [p.cluster for p in hub_plan.read(with_peers(("fd00::1:0", 0), ("fd00::1:1", 2**31))).peers] == [
        0,
        2**31,
    ]
    for cluster in (-1, 2**31 + 1):
        with pytest.raises(hub_plan.InvalidList):
            hub_plan.read(with_peers(("fd00::1:0", cluster)))


def test_what_is_no_list_is_refused() -> None:
    """The process has the right to configure every network: it must not fail half way, either."""
    assert hub_plan.read(listed(peers=[])).peers == ()
    documents: tuple[object, ...] = (None, [], ["peers"], "peers", 7, {})
    for document in documents:
        with pytest.raises(hub_plan.InvalidList, match="invalid"):
            hub_plan.read(document)
    many: list[None] = [None] * (hub_plan.MOST_PEERS + 1)
    with pytest.raises(hub_plan.InvalidList, match="at most 100,000 peers"):
        hub_plan.read(listed(peers=many))
    with pytest.raises(hub_plan.InvalidList) as found:
        hub_plan.read(listed(peers=many[:-1]))
    assert "at most" not in str(found.value)


def test_no_two_peers_have_one_key_or_address() -> None:
    """Of two peers with one key WireGuard keeps the last: the first node would be cut off."""
    rows = [{"key": key, "address": "fd00::1:0", "cluster": 1} for key in KEYS[:2]]
    with pytest.raises(hub_plan.InvalidList, match="two peers"):
        hub_plan.read(listed(peers=rows))
    rows = [{"key": KEYS[0], "address": f"fd00::1:{n}", "cluster": 1} for n in range(2)]
    with pytest.raises(hub_plan.InvalidList, match="two peers"):
        hub_plan.read(listed(peers=rows))


RULES = """table inet onext_edge
delete table inet onext_edge
table inet onext_edge {
  set c100 { type ipv4_addr; elements = { 10.77.1.0, 10.77.1.2 }; }
  set c101 { type ipv4_addr; elements = { 10.77.1.1 }; }
  set nodes { type ipv4_addr; elements = { 10.77.1.0, 10.77.1.1, 10.77.1.2 }; }
  chain forward {
    type filter hook forward priority filter; policy accept;
    iifname != "onext-edge" oifname != "onext-edge" accept
    iifname != "onext-edge" drop
    oifname != "onext-edge" drop
    meta nfproto != ipv4 drop
    ip saddr != @nodes drop
    ct state established accept
    ip saddr @c100 ip daddr @c100 ct state related accept
    ip saddr @c100 ip daddr @c100 meta l4proto { tcp, udp } th dport { 22, 49152-49215 } accept
    ip saddr @c100 ip daddr @c100 icmp type echo-request accept
    ip saddr @c101 ip daddr @c101 ct state related accept
    ip saddr @c101 ip daddr @c101 meta l4proto { tcp, udp } th dport { 22, 49152-49215 } accept
    ip saddr @c101 ip daddr @c101 icmp type echo-request accept
    drop
  }
  chain input {
    type filter hook input priority filter; policy accept;
    iifname != "onext-edge" accept
    meta nfproto != ipv4 drop
    ip saddr != @nodes drop
    ct state established,related accept
    tcp dport { 4124, 8443 } accept
    udp dport { 4124, 8443 } accept
    icmp type echo-request accept
    drop
  }
}
"""


def test_the_rules_as_a_whole() -> None:
    """One line that is missing or in another place opens a customer's nodes, or closes a migration's ports."""
    listing = with_peers(("10.77.1.0", 100), ("10.77.1.1", 101), ("10.77.1.2", 100))
    hub = hub_plan.read({**listing, "pool": "10.77.0.0/16", "address": "10.77.0.1"})
    assert hub_plan.firewall(hub) == RULES


def test_no_error_comes_from_another_cluster() -> None:
    """A customer's node halved the packet size of another customer's by ICMP errors about their connections."""
    text = hub_plan.firewall(hub_plan.read(with_peers(("fd00::1:0", 1), ("fd00::1:1", 2))))
    forward = text[text.index("chain forward") : text.index("chain input")]
    assert [line.strip() for line in forward.splitlines() if "related" in line] == [
        f"ip6 saddr @c{cluster} ip6 daddr @c{cluster} ct state related accept" for cluster in (1, 2)
    ]


def test_rules_without_a_node_let_nobody_in() -> None:
    """A revoked node that was the only one must not stay in the set."""
    text = hub_plan.firewall(hub_plan.read(listed(peers=[])))
    assert "  set nodes { type ipv6_addr; }\n" in text
    assert "meta nfproto != ipv6 drop\n    ip6 saddr != @nodes drop" in text
    assert "icmpv6 type echo-request accept" in text
    assert "set c" not in text
