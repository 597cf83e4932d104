"""What a joined node has besides the tunnel: sshd's certificate and authority, names, the service."""

import os
import shutil
import signal
import sys
from typing import Any, Dict

from edge import programs
from edge.errors import CommandFailed
from edge.places import UNIT, Places, read, remove, with_block, write

_SERVICE = """\
[Unit]
Description=onext edge: the tunnel of this node to its front-ends
After=network-online.target
Wants=network-online.target

[Service]
ExecStart={python} -I {program} run
Restart=always
RestartSec=5
NoNewPrivileges=yes
CapabilityBoundingSet=CAP_NET_ADMIN CAP_NET_RAW CAP_DAC_OVERRIDE CAP_KILL CAP_FOWNER CAP_CHOWN
ProtectHome=yes
PrivateTmp=yes
KillMode=process

[Install]
WantedBy=multi-user.target
"""


def apply(places: Places, state: Dict[str, Any]) -> None:
    """Write all files; sshd is reloaded only where its own changed. Raise CommandFailed."""
    changed = _ssh_files(places, state)
    changed = _sshd(places, sshd_lines(places, state)) or changed
    if changed:
        _reload(places)
    names = "".join(f"{address} {name}\n" for address, name in state["hosts"])
    write(places.hosts, with_block(read(places.hosts), names))
    write(places.known_hosts, with_block(read(places.known_hosts), known_hosts(state)))


def _ssh_files(places: Places, state: Dict[str, Any]) -> bool:
    """Write what sshd refers to, before it does: a list it cannot read locks everybody out."""
    changed = [
        write(places.user_ca, state["user_ca"] + "\n"),
        write(places.principals, "oneadmin\n"),
        write(places.revoked, "".join(key + "\n" for key in state["revoked"])),
    ]
    if "certificate" in state:
        changed.append(write(places.certificate, state["certificate"] + "\n"))
    return any(changed)


def sshd_lines(places: Places, state: Dict[str, Any]) -> str:
    """Return what sshd is told: the authority counts for one account, and from overlay addresses only."""
    return "\n".join(
        (
            "HostCertificate " + places.certificate,
            "Match User {} Address {}".format(places.account, state["pool"]),
            "    TrustedUserCAKeys " + places.user_ca,
            "    AuthorizedPrincipalsFile " + places.principals,
            "    RevokedKeys " + places.revoked,
            "Match all",
            "",
        )
    )


def known_hosts(state: Dict[str, Any]) -> str:
    """Return the authority for the names of this cluster's nodes, and the keys that do not count for them.

    For other names a revoked key may count: a node may have stated one that is not its own.
    """
    addresses = {name: address for address, name in state["hosts"]}
    names = ",".join(word for pair in state["hosts"] for word in pair)
    lines = ["@cert-authority {} {}\n".format(names, state["host_ca"])] if names else []
    for name, key in state.get("revoked_hosts", []):
        lines += [f"@revoked {addresses[name]},{name} {key}\n"] if name in addresses else []
    return "".join(lines)


def _sshd(places: Places, lines: str) -> bool:
    """Write sshd's snippet, or a block at the end of its file where that includes none; return a change."""
    text = read(places.sshd_config)
    included = any(line.split()[:1] == ["Include"] and "sshd_config.d" in line for line in text.splitlines())
    file = places.sshd_snippet if included else places.sshd_config
    before = read(file)
    content = (
        lines if included else with_block(before, "Match all\n" + lines)
    )  # its last lines may be a Match
    if not write(file, content, 0o600):
        return False
    try:
        if programs.there("sshd"):
            programs.run(["sshd", "-t", "-f", places.sshd_config])
    except CommandFailed:
        write(file, before, 0o600)
        raise
    return True


def _reload(places: Places) -> None:
    """Let sshd read its files anew; connections stay."""
    if places.systemd:
        for name in ("ssh", "sshd"):
            try:
                programs.run(["systemctl", "reload", name])
            except CommandFailed:
                continue
            return
    pid = read(places.below("run/sshd.pid")).strip()
    if pid.isdigit():
        try:
            os.kill(int(pid), signal.SIGHUP)
        except ProcessLookupError:
            return


def install_service(places: Places) -> bool:
    """Let systemd bring the tunnel up at every start; return whether it does."""
    own = os.path.abspath(sys.argv[0])
    if not places.systemd or not os.path.isfile(own):
        return False
    if own != places.program:
        shutil.copyfile(own, places.program + ".new")
        os.chmod(places.program + ".new", 0o755)  # noqa: S103 - a program
        os.rename(places.program + ".new", places.program)
    text = _SERVICE.format(python=os.path.realpath(sys.executable), program=places.program)
    if write(places.unit, text):
        programs.run(["systemctl", "daemon-reload"])
    programs.run(["systemctl", "enable", "--now", "--quiet", UNIT])
    return True


def stop_service(places: Places) -> None:
    """End the service and remove its unit."""
    if places.systemd and os.path.exists(places.unit):
        programs.run(["systemctl", "disable", "--now", "--quiet", UNIT])
        remove(places.unit)
        programs.run(["systemctl", "daemon-reload"])


def undo(places: Places) -> None:
    """Remove everything that joining added, then the state: after a kill `leave` can run again."""
    had = os.path.exists(places.sshd_snippet)
    remove(places.sshd_snippet)
    for file, mode in ((places.sshd_config, 0o600), (places.hosts, 0o644), (places.known_hosts, 0o644)):
        text = read(file)
        rest = with_block(text, "")
        if rest != text:
            write(file, rest, mode)
            had = True
        if not rest:
            remove(file)
    if had:
        _reload(places)
    for file in (places.certificate, places.user_ca, places.principals, places.revoked):
        remove(file)
    for file in (places.wireguard, places.identity, places.state_file):
        remove(file)
