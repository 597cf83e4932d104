"""Direct peers: nodes of one cluster that the hub introduced, and that reach each other without it.

Each is a peer that keeps trying, and that carries its node's address only while packets arrive from it;
otherwise the hub does. WireGuard accepts a source address from one peer only, so both sides change at about
the same time: what tells them is the handshake, which both see.
"""

import time
from typing import Any, Callable, Dict, List, NamedTuple, Set, Tuple

from edge import overlay, programs
from edge.errors import CommandFailed
from edge.places import INTERFACE

KEEPALIVE = 5  # seconds between packets of a peer that lives
SILENT = 12.0  # seconds without a packet after which the hub takes over again
STALE = 180.0  # seconds; WireGuard uses no session that is older
TABLE = "onext_edge_node"


class Seen(NamedTuple):
    """A peer as WireGuard shows it."""

    addresses: Set[str]
    handshake: float  # Unix time of the last one, 0 for none
    received: int  # bytes
    endpoint: str  # ADDRESS:PORT, or (none)


def dump() -> Dict[str, Seen]:
    """Return the peers of the interface by key."""
    found = {}
    for line in programs.run(["wg", "show", INTERFACE, "dump"]).splitlines()[1:]:
        words = line.split("\t")
        if len(words) >= 8:
            allowed = {one.partition("/")[0] for one in words[3].split(",") if one.endswith(("/128", "/32"))}
            found[words[0]] = Seen(allowed, float(words[4]), int(words[5]), words[2])
    return found


def sections(state: Dict[str, Any], present: Dict[str, Seen]) -> List[str]:
    """Return the lines for `wg syncconf`, which leave direct peers as they are."""
    lines = []
    for peer in state.get("peers", []):
        lines += ["[Peer]", "PublicKey = " + peer["key"], f"PersistentKeepalive = {KEEPALIVE}"]
        if peer["key"] in present and peer["address"] in present[peer["key"]].addresses:
            lines.append("AllowedIPs = " + overlay.single(peer["address"]))
    return lines


def firewall(peers: List[Dict[str, str]], ports: List[List[int]]) -> str:
    """Return the rules for `nft -f`: what the hub would not let pass does not come directly either."""
    addresses = ", ".join(sorted(peer["address"] for peer in peers))
    passing = ", ".join(f"{low}-{high}" if low != high else str(low) for low, high in ports)
    lines = [f"table inet {TABLE}", f"delete table inet {TABLE}"]
    if not peers:
        return "\n".join([*lines, ""])
    names = overlay.Names(peers[0]["address"])
    return "\n".join(
        [
            *lines,
            f"table inet {TABLE} {{",
            f"  set direct {{ type {names.type}; elements = {{ {addresses} }}; }}",
            "  chain input {",
            "    type filter hook input priority filter; policy accept;",
            f'    iifname != "{INTERFACE}" accept',
            f"    {names.header} saddr != @direct accept",
            "    ct state established,related accept",
            f"    meta l4proto {{ tcp, udp }} th dport {{ {passing} }} accept",
            f"    {names.echo} accept",
            "    drop",
            "  }",
            "  chain forward {",
            "    type filter hook forward priority filter; policy accept;",
            f'    iifname "{INTERFACE}" {names.header} saddr @direct drop',
            "  }",
            "}",
            "",
        ]
    )


class Direct:
    """Follows the direct peers of a node; `step` is called every few seconds."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say
        self._told: Dict[str, str] = {}
        self._heard: Dict[str, Tuple[int, float]] = {}
        self._rules, self._began = "", False

    def step(self, state: Dict[str, Any]) -> None:
        """Try, use and give up direct peers; raise CommandFailed."""
        wanted = state.get("peers", []) if programs.there("nft") else []
        if self._began and not wanted and not self._told:
            return
        present, keys = dump(), {peer["key"] for peer in wanted}
        for key in self._others(state, present) - keys:  # before the rules that concern them
            programs.run(["wg", "set", INTERFACE, "peer", key, "remove"])
            self._told.pop(key, None)
        self._protect(wanted, state.get("node_ports", []))
        self._began = True
        for peer in wanted:
            self._try(peer, peer["key"] in present)
            if peer["key"] in present:
                self._choose(peer, present[peer["key"]])

    def _others(self, state: Dict[str, Any], present: Dict[str, Seen]) -> Set[str]:
        """Return the direct peers that are there: at first also those of a process that was killed."""
        hubs = {hub["key"] for hub in state.get("hubs", [])}
        return set(self._told) if self._began else set(present) - hubs

    def _protect(self, peers: List[Dict[str, str]], ports: List[List[int]]) -> None:
        """Apply the rules, again where another program removed them: a firewall's restart flushes all."""
        rules = firewall(peers, ports)
        if not programs.there("nft") or (rules == self._rules and (not peers or _protected())):
            return
        programs.run(["nft", "-f", "-"], rules)
        self._rules = rules

    def _try(self, peer: Dict[str, str], present: bool) -> None:
        """Give WireGuard the endpoint that the hub saw; it follows the peer by itself from then on."""
        if present and self._told.get(peer["key"]) == peer["endpoint"]:
            return
        words = ["endpoint", peer["endpoint"], "persistent-keepalive", str(KEEPALIVE)]
        programs.run(["wg", "set", INTERFACE, "peer", peer["key"], *words])
        self._told[peer["key"]] = peer["endpoint"]

    def _choose(self, peer: Dict[str, str], seen: Seen) -> None:
        """Let the peer carry its address while it is heard, else the hub."""
        now = time.monotonic()
        before, moment = self._heard.get(peer["key"], (seen.received, -SILENT))
        if seen.received > before:
            moment = now
        self._heard[peer["key"]] = seen.received, moment
        heard = now - moment < SILENT and time.time() - seen.handshake < STALE
        if heard == (peer["address"] in seen.addresses):
            return
        allowed = overlay.single(peer["address"]) if heard else ""
        programs.run(["wg", "set", INTERFACE, "peer", peer["key"], "allowed-ips", allowed])
        self._say(
            "{}: {}".format(peer["address"], "reached directly" if heard else "reached through the hub")
        )


def _protected() -> bool:
    return f"table inet {TABLE}" in programs.run(["nft", "list", "tables"]).splitlines()


def forget() -> None:
    """Remove the rules."""
    if programs.there("nft"):
        try:
            programs.run(["nft", "delete", "table", "inet", TABLE])
        except CommandFailed:
            return
