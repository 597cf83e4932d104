"""oneadmin's ssh on this server: how nodes are found, which host certificates count, and its own certificate.

Files below /var/lib/one/onext/edge; ~/.ssh/config gets one line, `Include`, before all others.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from pathlib import Path

from hooks.edge import answers, certificates, secrets
from hooks.edge.addresses import node_address
from hooks.edge.records import Node, State, Zone
from hooks.edge.secrets import Secrets
from onext import atomic, ssh_include
from onext.paths import Paths

CERTIFICATES = (f"{secrets.USER}-cert.pub", f"{secrets.USER}-former-cert.pub")
OVERLAP = 3600.0  # seconds in which certificates of a former authority are used
CONFIG, KNOWN, REVOKED = "ssh_config", "known_hosts", "revoked_keys"
PRINCIPAL = "oneadmin"
USER_DAYS = 7  # for which oneadmin's certificate is valid; it is renewed after half of them
_writing = threading.Lock()


def write(paths: Paths, zone: Zone, nodes: Mapping[int, Node], *, now: float) -> None:
    """Write all files, each only where it changes; raise OSError or SecretsError."""
    kept = Secrets.of(paths)
    if not kept.file(secrets.USER).exists():
        return
    with _writing:
        folder = kept.folder
        atomic.write(folder / KNOWN, known_hosts(zone, nodes, now).encode(), 0o644)
        revoked = "".join(f"{key}\n" for key in answers.revoked(nodes.values()))
        atomic.write(folder / REVOKED, revoked.encode(), 0o644)
        _renew(kept, zone, now)
        atomic.write(folder / CONFIG, config(folder, zone, nodes).encode(), 0o644)


def config(folder: Path, zone: Zone, nodes: Mapping[int, Node]) -> str:
    """Return what ssh needs to reach each node by its name or address, asking no question.

    A node that was revoked keeps its entry while OpenNebula has its host, which is monitored: without it the
    name could lead to that machine by DNS. Nobody is in `known_hosts` for it.
    """
    names = {node.name for node in nodes.values() if node.state.peer}
    peers = [
        (number, node)
        for number, node in sorted(nodes.items())
        if node.state.peer or (node.state is State.REVOKED and node.host >= 0 and node.name not in names)
    ]
    lines = ["# onext edge writes this file from OpenNebula's documents."]
    for number, node in peers:
        lines += [f"Host {node.name}", f"    HostName {node_address(zone.pool, number)}"]
        lines += [f"    HostKeyAlias {node.name}"]
    if peers:
        patterns = " ".join(f"{node.name} {node_address(zone.pool, number)}" for number, node in peers)
        lines += [
            f"Host {patterns}",
            f"    UserKnownHostsFile {folder / KNOWN}",
            "    GlobalKnownHostsFile /dev/null",
            "    StrictHostKeyChecking yes",
            "    HostKeyAlgorithms ssh-ed25519-cert-v01@openssh.com",
            f"    RevokedHostKeys {folder / REVOKED}",
            f"    IdentityFile {folder / secrets.USER}",
            *(f"    CertificateFile {folder / name}" for name in CERTIFICATES if (folder / name).exists()),
            "    ConnectTimeout 10",
        ]
    return "\n".join([*lines, ""])


def known_hosts(zone: Zone, nodes: Mapping[int, Node], now: float) -> str:
    """Return the authority, for the names and addresses of nodes only; the former one too for an hour."""
    names = [
        name
        for number, node in sorted(nodes.items())
        if node.state.peer
        for name in (node.name, str(node_address(zone.pool, number)))
    ]
    former = [zone.former_host_ca] if zone.former_host_ca and now - zone.host_ca_since < OVERLAP else []
    authorities = [zone.host_ca, *former] if names else []
    return "".join(f"@cert-authority {','.join(names)} {key}\n" for key in authorities)


def include(home: Path, paths: Paths) -> bool:
    """Put the Include line at the head of ~/.ssh/config; return whether it was missing."""
    return ssh_include.put(home, Secrets.of(paths).file(CONFIG))


def _renew(kept: Secrets, zone: Zone, now: float) -> None:
    """Certify oneadmin's key anew after half of the time, and where key or authority was replaced."""
    file, former = map(kept.file, CERTIFICATES)
    if former.exists() and not 0 <= now - former.stat().st_mtime < OVERLAP:
        former.unlink()
    key, authority = kept.public(secrets.USER), kept.public(secrets.USER_CA)
    has = certificates.parties(file.read_text()) if file.exists() else None
    if has == (key, authority) and 0 <= now - file.stat().st_mtime < USER_DAYS * 86_400 / 2:
        return
    if authority != zone.user_ca:  # doctor reports it; a certificate of this key would be worthless
        return
    if has is not None and has[0] == key and has[1] != authority:
        atomic.write(former, file.read_bytes(), 0o644)  # nodes learn of the new authority one after the other
    line = certificates.user(
        kept.read(secrets.USER_CA), key, PRINCIPAL, str(zone.pool), now=now, days=USER_DAYS
    )
    atomic.write(file, f"{line}\n".encode(), 0o644)
