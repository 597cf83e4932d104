"""The hub's configuration as commands' input: what `wg` and `nft` are given, from a list that is checked.

The list is a file of oneadmin; the process that carries it out may configure any network, so that every value
must be of its form, and every address of the pool.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from edge import overlay
from edge.overlay import Address, Pool
from hooks.edge.forms import WIREGUARD_KEY, matching

_INTERFACE = re.compile(r"[a-z][a-z0-9-]{0,14}")
MOST_PEERS = 100_000
NEIGHBOURS = 32  # to either side, in the order of their addresses: a large cluster is not a full mesh
TABLE = "onext_edge"


class InvalidList(ValueError):
    """The list of peers is not what the worker writes."""


@dataclass(frozen=True)
class Peer:
    """A node as the hub knows it."""

    key: str
    address: Address
    cluster: int


@dataclass(frozen=True)
class Hub:
    """The whole configuration of a hub."""

    interface: str
    address: Address
    pool: Pool
    port: int
    mtu: int
    node_ports: tuple[tuple[int, int], ...]
    own_ports: tuple[int, ...]
    peers: tuple[Peer, ...]


def read(document: object) -> Hub:
    """Return the configuration in a list; raise InvalidList."""
    try:
        return _hub(document)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise InvalidList(f"the list of peers is invalid: {str(error)[:200]}") from None


def _hub(values: object) -> Hub:
    if not isinstance(values, Mapping) or len(values["peers"]) > MOST_PEERS:
        raise ValueError("not an object with at most 100,000 peers")
    pool = overlay.pool(values["pool"])
    peers = tuple(_peer(item, pool) for item in values["peers"])
    if len({peer.address for peer in peers} | {peer.key for peer in peers}) != 2 * len(peers):
        raise ValueError("two peers have one key or address")
    return Hub(
        matching(_INTERFACE, values["interface"], "interface"),
        overlay.within(values["address"], pool),
        pool,
        _number(values["port"], 1, 65535),
        _number(values["mtu"], 1280, 9000),
        tuple((_number(low, 1, 65535), _number(high, 1, 65535)) for low, high in values["node_ports"]),
        tuple(_number(port, 1, 65535) for port in values["own_ports"]),
        peers,
    )


def _peer(values: Mapping[str, object], pool: Pool) -> Peer:
    key = matching(WIREGUARD_KEY, values["key"], "key")
    return Peer(key, overlay.within(values["address"], pool), _number(values["cluster"], 0, 2**31))


def _number(value: object, low: int, high: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        raise ValueError(f"a number is not from {low} to {high}")
    return value


def wireguard(hub: Hub, key: str) -> str:
    """Return the configuration for `wg syncconf`, which leaves the sessions of unchanged peers alone."""
    parts = [f"[Interface]\nPrivateKey = {key}\nListenPort = {hub.port}\n"]
    parts += [
        f"[Peer]\nPublicKey = {peer.key}\nAllowedIPs = {overlay.single(peer.address)}\n" for peer in hub.peers
    ]
    return "\n".join(parts)


def firewall(hub: Hub) -> str:
    """Return the rules for `nft -f`: a table of our own, which concerns the hub's interface only.

    Nodes of one cluster reach each other's ssh and migration ports, nodes reach a few ports of this server,
    and nothing else passes. WireGuard has compared each packet's source with its key before.
    """
    name, names, chains, jumps = hub.interface, overlay.Names(hub.address), [], []
    ip = names.header
    for cluster, addresses in sorted(_clusters(hub.peers).items()):
        chains.append(f"  set c{cluster} {{ type {names.type}; elements = {{ {', '.join(addresses)} }}; }}")
        jumps.append(f"    {ip} saddr @c{cluster} {ip} daddr @c{cluster} ct state related accept")
        jumps.append(
            f"    {ip} saddr @c{cluster} {ip} daddr @c{cluster} meta l4proto {{ tcp, udp }}"
            f" th dport {_ports(hub.node_ports)} accept"
        )
        jumps.append(f"    {ip} saddr @c{cluster} {ip} daddr @c{cluster} {names.echo} accept")
    own = ", ".join(map(str, hub.own_ports))
    members = sorted(str(peer.address) for peer in hub.peers)
    current = (
        f"{{ type {names.type}; elements = {{ {', '.join(members)} }}; }}"
        if members
        else f"{{ type {names.type}; }}"
    )
    return "\n".join(
        [
            f"table inet {TABLE}",
            f"delete table inet {TABLE}",
            f"table inet {TABLE} {{",
            *chains,
            f"  set nodes {current}",
            "  chain forward {",
            "    type filter hook forward priority filter; policy accept;",
            f'    iifname != "{name}" oifname != "{name}" accept',
            f'    iifname != "{name}" drop',
            f'    oifname != "{name}" drop',
            f"    meta nfproto != {names.protocol} drop",
            f"    {ip} saddr != @nodes drop",
            "    ct state established accept",  # errors, which are related, may come from another cluster
            *jumps,
            "    drop",
            "  }",
            "  chain input {",
            "    type filter hook input priority filter; policy accept;",
            f'    iifname != "{name}" accept',
            f"    meta nfproto != {names.protocol} drop",
            f"    {ip} saddr != @nodes drop",
            "    ct state established,related accept",
            f"    tcp dport {{ {own} }} accept",
            f"    udp dport {{ {own} }} accept",
            f"    {names.echo} accept",
            "    drop",
            "  }",
            "}",
            "",
        ]
    )


def _clusters(peers: Iterable[Peer]) -> dict[int, list[str]]:
    found: dict[int, list[str]] = {}
    for peer in peers:
        found.setdefault(peer.cluster, []).append(str(peer.address))
    return found


def _ports(ports: Iterable[tuple[int, int]]) -> str:
    return "{ " + ", ".join(f"{low}-{high}" if low != high else str(low) for low, high in ports) + " }"
