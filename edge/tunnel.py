"""The node's WireGuard interface: made from the state, followed while hubs move."""

import contextlib
import socket
import time
from typing import Any, Dict, List, Optional, Set

from edge import direct, overlay, programs, sizes, word
from edge.errors import CommandFailed
from edge.places import INTERFACE, Places, read
from edge.relay import LOOPBACK

DISCARD = 9  # a port that nothing listens at
KEEPALIVE = 25  # seconds: keeps the way through NAT open
SKEW = 5.0  # seconds by which a clock may be set without a doubt
NEVER = 1e9  # seconds since a handshake that was not yet
STALE = 150.0  # seconds without a handshake after which a hub is asked for anew; WireGuard makes one in 120


def up(places: Places, state: Dict[str, Any], primary: int = 0) -> None:
    """Bring the interface up as the state has it; raise CommandFailed."""
    if not present():
        _create()
    programs.run(["wg", "syncconf", INTERFACE, "/dev/stdin"], configuration(places, state, primary))
    programs.run(["ip", "link", "set", INTERFACE, "mtu", str(sizes.largest(state)), "up"])
    own = [state["address"] + "/" + state["pool"].partition("/")[2], "dev", INTERFACE, "noprefixroute"]
    ip = overlay.ip(state["pool"])
    programs.run([*ip, "addr", "replace", *own])
    words = [state["pool"], "dev", INTERFACE, "metric", "256", "mtu", str(state["mtu"])]
    programs.run([*ip, "route", "replace", *words])


def down() -> None:
    """Remove the interface; wireguard-go ends with it."""
    direct.forget()
    if present():
        programs.run(["ip", "link", "del", INTERFACE])


def present() -> bool:
    """Whether the interface is there."""
    try:
        socket.if_nametoindex(INTERFACE)
    except OSError:
        return False
    return True


def configuration(places: Places, state: Dict[str, Any], primary: int) -> str:
    """Return what `wg syncconf` is given: each hub with its address, one of them with the whole pool."""
    lines = ["[Interface]", "PrivateKey = " + read(places.wireguard).strip()]
    lines += [f"ListenPort = {port()}"] if port() else []  # without it `wg` takes another one each time
    over_tls = relayed()
    for number, hub in enumerate(state["hubs"]):
        allowed = overlay.single(hub["address"]) + (", " + state["pool"] if number == primary else "")
        lines += ["[Peer]", "PublicKey = " + hub["key"], "AllowedIPs = " + allowed]
        lines += [f"PersistentKeepalive = {KEEPALIVE}"]
        endpoint = None if hub["key"] in over_tls else resolved(hub)
        lines += ["Endpoint = " + endpoint] if endpoint else []
    if state.get("peers"):
        lines += direct.sections(state, direct.dump())
    return "\n".join(lines) + "\n"


def relayed() -> Set[str]:
    """Return the keys of the hubs that this machine's relays reach over TLS: the interface knows."""
    shown = programs.run(["wg", "show", INTERFACE, "endpoints"]) if present() else ""
    pairs = [line.partition("\t") for line in shown.splitlines()]
    return {key for key, _, endpoint in pairs if endpoint.startswith(LOOPBACK + ":")}


def resolved(hub: Dict[str, str]) -> Optional[str]:
    """Return a hub's endpoint with its address as it is now, None while its name does not resolve.

    A name may have the hub's overlay address, too: the tunnel cannot lead through itself.
    """
    host, number = word.split(hub["endpoint"])
    try:
        found = socket.getaddrinfo(host, number, type=socket.SOCK_DGRAM)
    except OSError:
        return None
    addresses = [str(one[4][0]) for one in found if one[4][0] != hub["address"]]
    if not addresses:
        return None
    address = addresses[0]
    return ("[{}]:{}" if ":" in address else "{}:{}").format(address, number)


def other_way(state: Dict[str, Any]) -> str:
    """Return what this machine reaches at addresses of the pool without the tunnel; raise CommandFailed."""
    shown = programs.run([*overlay.ip(state["pool"]), "route", "show"])
    return overlay.taken(overlay.pool(state["pool"]), shown, INTERFACE)


def _create() -> None:
    try:
        programs.run(["ip", "link", "add", INTERFACE, "type", "wireguard"])
    except CommandFailed:
        if not programs.there("wireguard-go"):
            raise
        programs.run(["wireguard-go", INTERFACE])


def handshakes() -> Dict[str, float]:
    """Return the seconds since the last handshake by peer key; none yet is a large number.

    A handshake in the future happened before the clock was set back: its age is unknown.
    """
    now, found = time.time(), {}
    for line in programs.run(["wg", "show", INTERFACE, "latest-handshakes"]).splitlines():
        key, _, stamp = line.partition("\t")
        age = now - float(stamp) if stamp.strip() not in ("", "0") else NEVER
        found[key] = age if age > -SKEW else NEVER
    return found


def here(state: Dict[str, Any]) -> List[str]:
    """Return where this machine's own network reaches the interface: ADDRESS:PORT, for nodes beside it."""
    endpoint = resolved(state["hubs"][0]) if state["hubs"] else None
    address = source(endpoint) if endpoint else ""
    if not address or not port():
        return []
    return [("[{}]:{}" if ":" in address else "{}:{}").format(address, port())]


def port() -> int:
    """Return the interface's UDP port, 0 before it has one."""
    shown = programs.run(["wg", "show", INTERFACE, "listen-port"]).strip() if present() else ""
    return int(shown) if shown.isdigit() else 0


def source(endpoint: str) -> str:
    """Return this machine's address on the way to an endpoint, empty without a way; nothing is sent."""
    host, number = word.split(endpoint)
    try:
        with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM) as way:
            way.connect((host, number))
            return str(way.getsockname()[0])
    except OSError:
        return ""


def touch(state: Dict[str, Any]) -> None:
    """Send a datagram to each hub, which drops it: WireGuard looks after 15 seconds whether it was received.

    Keepalives do not make it look: a hub that lost its sessions would be noticed after two minutes only.
    """
    for hub in state["hubs"]:
        with contextlib.suppress(OSError), socket.socket(
            overlay.family(hub["address"]), socket.SOCK_DGRAM
        ) as sender:
            sender.setblocking(False)
            sender.sendto(b"", (hub["address"], DISCARD))


def follow(places: Places, state: Dict[str, Any], primary: int, sources: Dict[str, str]) -> int:
    """Look for hubs and networks that changed; return the hub that carries the pool now.

    `sources` holds this machine's address towards each hub. An endpoint that is set again makes wireguard-go
    give up the address that it had before.
    """
    ages, silent = handshakes(), []
    for hub in state["hubs"]:
        quiet = ages.get(hub["key"], NEVER) > STALE
        silent += [hub] if quiet else []
        endpoint = resolved(hub)
        own = source(endpoint) if endpoint else ""
        moved = own != sources.setdefault(hub["key"], own)
        if endpoint and own and (moved or (quiet and hub["key"] not in relayed())):
            programs.run(["wg", "set", INTERFACE, "peer", hub["key"], "endpoint", endpoint])
            sources[hub["key"]] = own
    alive = [number for number, hub in enumerate(state["hubs"]) if hub not in silent]
    if primary in alive or not alive:
        return primary
    up(places, state, alive[0])
    return int(alive[0])
