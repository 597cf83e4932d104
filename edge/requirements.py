"""What a node needs, in the package names of its distribution."""

import os
import sys
from typing import List, NamedTuple

from edge import programs
from edge.places import Places, read

_PACKAGES = {  # program: package of Debian and Ubuntu, of AlmaLinux
    "ip": ("iproute2", "iproute"),
    "wg": ("wireguard-tools", "wireguard-tools"),
    "ssh-keygen": ("openssh-client", "openssh-clients"),
    "sshd": ("openssh-server", "openssh-server"),
}
NODE_PACKAGES = ("opennebula-node-kvm", "opennebula-node-kvm")


class Finding(NamedTuple):
    """One line of `check`: whether it is in order, and what to do."""

    good: bool
    name: str
    message: str


def red_hat(places: Places) -> bool:
    """Whether packages are named as in AlmaLinux."""
    text = read(places.below("etc/os-release"))
    return any(word in text for word in ("rhel", "fedora", "almalinux"))


def packages(places: Places) -> List[str]:
    """Return the packages of the programs that are missing."""
    column = 1 if red_hat(places) else 0
    lacking = [name for name in _PACKAGES if not programs.there(name)]
    return sorted({_PACKAGES[name][column] for name in lacking} | set(_wireguard()))


def _wireguard() -> List[str]:
    """Return the package of the user-space WireGuard, where the kernel has none."""
    if os.path.isdir("/sys/module/wireguard") or programs.there("wireguard-go"):
        return []
    found = programs.there("modinfo") and _has_module()
    return [] if found else ["wireguard-go"]


def _has_module() -> bool:
    try:
        programs.run(["modinfo", "wireguard"])
    except Exception:  # noqa: BLE001 - any failure means: not there
        return False
    return True


def findings(places: Places) -> List[Finding]:
    """Return every requirement; changes nothing."""
    lacking = packages(places)
    version = sys.version_info[:2] >= (3, 6)
    account = any(
        line.startswith(places.account + ":") for line in read(places.below("etc/passwd")).splitlines()
    )
    return [
        Finding(version, "python", ".".join(map(str, sys.version_info[:3]))),
        Finding(os.geteuid() == 0, "root", "joining changes the network and sshd"),
        Finding(not lacking, "packages", "install: " + " ".join(lacking) if lacking else "all there"),
        Finding(
            account,
            "account " + places.account,
            "there" if account else "comes with " + NODE_PACKAGES[red_hat(places)],
        ),
    ]


def install(places: Places, names: List[str]) -> None:
    """Install packages; raise CommandFailed."""
    if not names:
        return
    if red_hat(places):
        programs.run(["dnf", "install", "-y", *names], timeout=1800)
    else:
        programs.run(["apt-get", "install", "-y", "--no-install-recommends", *names], timeout=1800)
