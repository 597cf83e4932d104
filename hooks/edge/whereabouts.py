"""Where nodes dial in from: the hub's view of their public addresses, for geolocation of nodes behind NAT."""

from __future__ import annotations

import json
import os
import re
import stat
from collections.abc import Mapping
from ipaddress import ip_address
from pathlib import Path

from hooks.edge.forms import WHERE, host_of, own
from hooks.edge.records import Node, State
from onext import log, spool
from onext.http import is_public
from onext.oned.objects import Host
from onext.part import Context
from onext.paths import Paths

FILE = "endpoints.json"  # beside the hub's list; the hub writes it: {WireGuard key: "ADDRESS:PORT"}
LARGEST = 16 << 20  # bytes of it
ATTRIBUTE, WRITTEN = "GEOLOCATION_IP", "ONEXT_EDGE_IP"  # the second holds what was written by this part
_log = log.get("edge")


def place(paths: Paths) -> Path:
    """Return where the hub writes."""
    return paths.run / "edge" / FILE


def read(file: Path) -> Mapping[str, str]:
    """Return the public address of each key; a file that is missing or invalid holds none."""
    read_ = {key: _address(text) for key, text in endpoints(file).items()}
    return {key: address for key, address in read_.items() if address}


def endpoints(file: Path) -> Mapping[str, str]:
    """Return the UDP endpoint of each key, ADDRESS:PORT; a file that is missing or invalid holds none.

    A node that comes over TLS has none: the hub sees this server's own relay.
    """
    return {key: where for key, where in _seen(file).items() if not own(where)}


def ways(file: Path) -> Mapping[str, str]:
    """Return by which protocol each key dials in here, udp or tls."""
    return {key: "tls" if own(where) else "udp" for key, where in _seen(file).items()}


def _seen(file: Path) -> Mapping[str, str]:
    try:
        descriptor = os.open(file, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        with os.fdopen(descriptor, "rb") as stream:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                return {}
            found = json.loads(stream.read(LARGEST))
    except (OSError, ValueError, RecursionError):
        return {}
    pairs = found.items() if isinstance(found, dict) else ()
    return {str(key): str(text)[:64] for key, text in pairs if re.fullmatch(WHERE, str(text)[:64])}


def _address(endpoint: str) -> str:
    """Return the address of HOST:PORT where it is a public one, else nothing."""
    host = host_of(endpoint)
    try:
        return str(ip_address(host)) if is_public(host) else ""
    except ValueError:
        return ""


def changes(nodes: Mapping[int, Node], hosts: Mapping[int, Host], seen: Mapping[str, str]) -> dict[int, str]:
    """Return the address to write for each host: never over one that a person wrote."""
    wanted = {}
    for node in nodes.values():
        host, address = hosts.get(node.host), seen.get(node.wireguard)
        if node.state is not State.ACTIVE or host is None or not address:
            continue
        now = host.text(ATTRIBUTE)
        if now != address and now == host.text(WRITTEN):
            wanted[host.id] = address
    return wanted


def write(context: Context, nodes: Mapping[int, Node], seen: Mapping[str, str]) -> int:
    """Write the addresses that changed, and have the parts process these hosts; return their number.

    Raises an OnedError.
    """
    if not seen:
        return 0
    hosts = {host.id: host for host in context.oned.hosts()}
    found = changes(nodes, hosts, seen)
    for number, address in found.items():
        context.oned.update_host(number, {ATTRIBUTE: address, WRITTEN: address})
        _log.info("host %d dials in from %s", number, address)
        _tell(context, hosts[number])
    return len(found)


def _tell(context: Context, host: Host) -> None:
    """Write an event of the host's state into the spool: oned starts no hook for a change of its template."""
    folder = str(context.paths.spool)
    try:
        spool.put(folder, spool.EVENT, "host", host.id, host.state.value, 0)
        spool.wake(folder)
    except OSError as error:
        _log.warning("host %d is located later: %s", host.id, error)
