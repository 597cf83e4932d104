"""Forms of the values that nodes, documents and the hub's list hold. Standard library only."""

from __future__ import annotations

import re
from ipaddress import ip_address

WIREGUARD_KEY = re.compile(r"[A-Za-z0-9+/]{42}[AEIMQUYcgkosw048]=")
HEX_KEY = re.compile(r"[0-9a-f]{64}")
# ssh and sshd refuse all users if one line of the list of revoked keys is not a key
SSH_KEY = re.compile(r"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAI[A-P][A-Za-z0-9+/]{42}")
PATTERN = re.compile(r"[A-Za-z0-9*?._-]{1,128}")
WHERE = re.compile(r"(?:\[[0-9a-fA-F:]{2,39}\]|[A-Za-z0-9][A-Za-z0-9._-]{0,252}):[0-9]{1,5}")


def matching(form: re.Pattern[str], text: object, what: str) -> str:
    """Return a text that has a form as a whole; raise ValueError."""
    if not isinstance(text, str) or not form.fullmatch(text):
        raise ValueError(f"{what} has not the expected form")
    return text


def host_of(endpoint: str) -> str:
    """Return the address in ADDRESS:PORT, without brackets."""
    return endpoint.rpartition(":")[0].strip("[]")


def own(endpoint: str) -> bool:
    """Whether an endpoint is this machine itself, where relays of nodes over TLS come from."""
    try:
        return ip_address(host_of(endpoint)).is_loopback
    except ValueError:
        return False
