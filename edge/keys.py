"""This node's private keys: made here, kept here."""

import os
import re

from edge import ed25519, programs
from edge.errors import EdgeError
from edge.places import Places, create, read

_SSH = re.compile(r"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAI[A-P][A-Za-z0-9+/]{42}")


def new_identity(places: Places) -> bytes:
    """Return the key that signs this node's requests, made where it is missing."""
    if not read(places.identity).strip():
        _folder(places)
        create(places.identity, ed25519.generate().hex())
    return identity(places)


def identity(places: Places) -> bytes:
    """Return the key that signs this node's requests; raise EdgeError without one."""
    text = read(places.identity).strip()
    if not text:
        raise EdgeError(f"{places.identity} is missing: join with a token")
    try:
        return bytes.fromhex(text)
    except ValueError:
        raise EdgeError(f"{places.identity} is damaged: remove it and join anew") from None


def wireguard(places: Places) -> str:
    """Return the public key of the tunnel, whose private key is made where it is missing."""
    if not read(places.wireguard).strip():
        _folder(places)
        create(places.wireguard, programs.run(["wg", "genkey"]))
    return programs.run(["wg", "pubkey"], read(places.wireguard)).strip()


def ssh(places: Places) -> str:
    """Return the public host key of sshd, made where there is none."""
    if not os.path.exists(places.host_key):
        programs.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", places.host_key])
    found = _SSH.match(read(places.host_key + ".pub"))
    if found is None:
        raise EdgeError(f"{places.host_key}.pub is not an Ed25519 key")
    return found.group()


def _folder(places: Places) -> None:
    if not os.path.isdir(places.folder):
        os.makedirs(places.folder, 0o755)
