"""oneadmin's ssh on this server: how nodes are found, which host certificates count, and its own certificate.

Files below /var/lib/one/onext/edge; ~/.ssh/config gets one line, `Include`, before all others.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from pathlib import Path

from hooks.edge import answers, certificates, secrets
from hooks.edge.addresses import node_address
from hooks.edge.records import Node, Zone
from hooks.edge.secrets import Secrets
from onext import atomic, ssh_include
from onext.paths import Paths

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
        atomic.write(folder / KNOWN, known_hosts(zone, nodes).encode(), 0o644)
        revoked = "".join(f"{key}\n" for key in answers.revoked(nodes.values()))
        atomic.write(folder / REVOKED, revoked.encode(), 0o644)
        atomic.write(folder / CONFIG, config(folder, zone, nodes).encode(), 0o644)
        _renew(kept, zone, now)


def config(folder: Path, zone: Zone, nodes: Mapping[int, Node]) -> str:
    """Return what ssh needs to reach each node by its name or address, asking no question."""
    peers = [(number, node) for number, node in sorted(nodes.items()) if node.state.peer]
    lines = ["# onext edge writes this file from OpenNebula's documents."]
    for number, node in peers:
        lines += [f"Host {node.name}", f"    HostName {node_address(zone.pool, number)}"]
        lines += [f"    HostKeyAlias {node.name}"]
    if peers:
        names = " ".join(f"{node.name} {node_address(zone.pool, number)}" for number, node in peers)
        lines += [
            f"Host {names}",
            f"    UserKnownHostsFile {folder / KNOWN}",
            "    GlobalKnownHostsFile /dev/null",
            "    StrictHostKeyChecking yes",
            "    HostKeyAlgorithms ssh-ed25519-cert-v01@openssh.com",
            f"    RevokedHostKeys {folder / REVOKED}",
            f"    IdentityFile {folder / secrets.USER}",
            f"    CertificateFile {folder / secrets.USER}-cert.pub",
            "    ConnectTimeout 10",
        ]
    return "\n".join([*lines, ""])


def known_hosts(zone: Zone, nodes: Mapping[int, Node]) -> str:
    """Return the one authority, for the names and addresses of nodes only."""
    names = [
        name
        for number, node in sorted(nodes.items())
        if node.state.peer
        for name in (node.name, str(node_address(zone.pool, number)))
    ]
    return f"@cert-authority {','.join(names)} {zone.host_ca}\n" if names else ""


def include(home: Path, paths: Paths) -> bool:
    """Put the Include line at the head of ~/.ssh/config; return whether it was missing."""
    return ssh_include.put(home, Secrets.of(paths).file(CONFIG))


def _renew(kept: Secrets, zone: Zone, now: float) -> None:
    file = kept.file(f"{secrets.USER}-cert.pub")
    fresh = file.exists() and 0 <= now - file.stat().st_mtime < USER_DAYS * 86_400 / 2
    if fresh:
        return
    line = certificates.user(
        kept.read(secrets.USER_CA),
        kept.public(secrets.USER),
        PRINCIPAL,
        str(zone.pool),
        now=now,
        days=USER_DAYS,
    )
    atomic.write(file, f"{line}\n".encode(), 0o644)
