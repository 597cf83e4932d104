"""Who a tunnel is: name, VNI, MAC and IPv6 link-local addresses, all from the pair of underlay addresses.

Both ends work it out alone and come to the same. Link-local addresses need no address plan and collide with
no other: they are valid on this device only, and never cloud metadata's 169.254.169.254.
"""

import hashlib
import ipaddress
import re
from typing import NamedTuple

PREFIX = "oxt"
SALTS = 8  # another salt gives another name and VNI where the first are taken
NAME = re.compile(r"oxt[0-9a-f]{11}\Z")


class Face(NamedTuple):
    """One end of the tunnel: its underlay address and what it is called inside."""

    underlay: str
    mac: str
    inside: str


class Identity(NamedTuple):
    """A tunnel as one of its hosts sees it."""

    name: str
    vni: int
    near: Face
    far: Face

    @property
    def port_name(self) -> str:
        """Return the name of the VXLAN port where an OVS bridge bears the tunnel's name."""
        return "oxp" + self.name[len(PREFIX) :]


def identify(local: str, remote: str, kind: str, port: int, salt: int = 0) -> Identity:
    """Return the tunnel between two addresses (both IPv4 or both IPv6) on a datapath and UDP port."""
    near, far = ipaddress.ip_address(local), ipaddress.ip_address(remote)
    first, second = sorted((near.packed, far.packed))
    digest = hashlib.sha256(f"{kind} {port} {salt} ".encode() + first + second).digest()
    return Identity(
        name=PREFIX + digest.hex()[:11],
        vni=1 + int.from_bytes(digest[8:11], "big") % 0xFFFFFE,
        near=_face(near.compressed, digest, near.packed == second),
        far=_face(far.compressed, digest, near.packed != second),
    )


def of_pair(local: str, remote: str, port: int, salt: int, nonce: str) -> Identity:
    """Return a WireGuard tunnel of one migration: its keys are not shared, so its name is not either."""
    found = identify(local, remote, "wireguard " + nonce, port, salt)
    near, far = ("fe80::1", "fe80::2") if found.near.mac < found.far.mac else ("fe80::2", "fe80::1")
    return found._replace(near=found.near._replace(inside=near), far=found.far._replace(inside=far))


def of_peers(device: str, local: str, remote: str) -> Identity:
    """Return the way between two hosts that are WireGuard peers: their addresses are those inside."""
    near, far = (ipaddress.ip_address(one).compressed for one in (local, remote))
    return Identity(device, 0, Face(near, "", near), Face(far, "", far))


def _face(underlay: str, digest: bytes, second: bool) -> Face:
    mac = b"\x02" + digest[12:16] + bytes([second])  # locally administered, unicast
    # RFC 4291, appendix A: the universal/local bit turned over, ff:fe in the middle
    eui64 = bytes([mac[0] ^ 2]) + mac[1:3] + b"\xff\xfe" + mac[3:]
    inside = ipaddress.IPv6Address(b"\xfe\x80" + bytes(6) + eui64)
    return Face(underlay, ":".join(f"{byte:02x}" for byte in mac), inside.compressed)
