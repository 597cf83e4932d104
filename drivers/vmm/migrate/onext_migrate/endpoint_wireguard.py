"""A tunnel as a WireGuard pair: made for one migration, with keys that only this migration has.

`wg` and `ip address` need the rules of the file `sudoers` beside this module; no key is ever in an argument.
"""

import contextlib
import re
import socket
from typing import Iterator

from .commands import as_root, run
from .endpoint_spec import EndpointSpec
from .errors import CommandError, TakenError, TunnelError

KEY = re.compile(r"[A-Za-z0-9+/]{43}=\Z")
NONCE = re.compile(r"[0-9a-f]{16}\Z")
_KEEPALIVE = 5  # seconds: a peer learns our new address, and NAT keeps its mapping
_RULES = "copy vmm/kvm/onext_migrate/sudoers to /etc/sudoers.d/onext-migrate on both hosts"


def new_secret() -> str:
    """Return a private key; raise TunnelError without wireguard-tools."""
    return checked_key(run(["wg", "genkey"], timeout=5).stdout.strip())


def public(secret: str) -> str:
    """Return the public key of a private one."""
    return checked_key(run(["wg", "pubkey"], timeout=5, text=secret + "\n").stdout.strip())


def checked_key(text: object) -> str:
    """Return a key of WireGuard; raise TunnelError."""
    if not isinstance(text, str) or not KEY.match(text):
        raise TunnelError("no key of WireGuard was received")
    return text


def build(plan: EndpointSpec) -> None:
    """Create the device and its one peer. Raise TakenError when the UDP port is in use."""
    if not plan.secret:
        raise TunnelError(f"{plan.identity.name} is gone, and the keys of its peers are gone with it")
    _check_port(plan.port)
    _create(plan.identity.name)
    as_root(["ip", "link", "set", "dev", plan.identity.name, "mtu", str(plan.mtu), "addrgenmode", "none"])
    with _hint():
        as_root(["wg", "setconf", plan.identity.name, "/dev/stdin"], text=configuration(plan))


def configuration(plan: EndpointSpec) -> str:
    """Return what `wg setconf` is given: one peer, and nothing but link-local addresses through it.

    Both ends dial: WireGuard repeats a lost handshake after five seconds, and the end that is ready last has
    one that is not lost.
    """
    lines = ["[Interface]", "PrivateKey = " + plan.secret, f"ListenPort = {plan.port}"]
    lines += ["[Peer]", "PublicKey = " + plan.peer, "AllowedIPs = fe80::/64"]
    far = plan.identity.far.underlay
    lines += [f"Endpoint = {'[' + far + ']' if ':' in far else far}:{plan.port}"]
    lines += [f"PersistentKeepalive = {_KEEPALIVE}"]
    return "\n".join(lines) + "\n"


def address(plan: EndpointSpec) -> None:
    """Give the device its link-local address: WireGuard has no MAC to make one of."""
    with _hint():
        as_root(
            ["ip", "address", "add", plan.identity.near.inside + "/64", "dev", plan.identity.name, "nodad"]
        )


def _create(name: str) -> None:
    try:
        as_root(["ip", "link", "add", "dev", name, "type", "wireguard"])
    except CommandError as error:
        if "File exists" in error.output:
            raise TakenError(f"{name}: {error.output.strip()}") from error
        try:
            with _hint():
                as_root(["wireguard-go", name])
        except CommandError as other:
            raise TunnelError(f"no WireGuard in the kernel ({error.output.strip()}); {other}") from other


def _check_port(port: int) -> None:
    """Raise TakenError for a port in use, because wireguard-go does not report it."""
    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as sock:
        try:
            sock.bind(("::", port))
        except OSError as error:
            raise TakenError(f"UDP port {port}: {error.strerror}") from error


@contextlib.contextmanager
def _hint() -> Iterator[None]:
    """Name the file of rules where sudo refuses."""
    try:
        yield
    except CommandError as error:
        if "password" in error.output or "not allowed" in error.output:
            raise TunnelError(f"sudo does not allow {' '.join(error.argv[2:4])}: {_RULES}") from error
        raise
