"""What nodes ask, as the endpoint hands it over: hostile until signature and every field are checked."""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address

from edge.host_key import PROOF
from hooks.edge import secrets
from hooks.edge.forms import HEX_KEY, SSH_KEY, WIREGUARD_KEY, matching
from hooks.edge.records import host_name

LARGEST = 65_536  # bytes of a request
REQUEST, ANSWER = b"onext-edge request 1\0", b"onext-edge answer 1\0"  # as in edge/messages.py
JOIN, READY, SYNC, LEAVE = "join", "ready", "sync", "leave"


class Invalid(ValueError):
    """A request that has not the form of one, or is not signed by its key."""


@dataclass(frozen=True)
class Request:
    """A request whose signature is valid: `identity` is the key that signed it."""

    action: str
    identity: str
    digest: str  # SHA-256 of its content, to which the answer refers
    time: float  # the node's clock
    session: str
    certificate: bool  # whether a new host certificate is asked for
    join: Join | None
    knows: str = ""  # how the key begins by which the node checks the answer, 16 digits
    here: str = ""  # ADDRESS:PORT of its tunnel in its own network, as the node states it


@dataclass(frozen=True)
class Join:
    """What a node that joins states of itself."""

    token: str
    name: str
    wireguard: str
    ssh_key: str
    proven: bool = False  # whether the host key signed the identity


def read(data: bytes) -> Request:
    """Return a request; raise Invalid."""
    try:
        envelope = _object(data)
        body = base64.b64decode(_text(envelope, "body", LARGEST), validate=True)
        key = matching(HEX_KEY, envelope.get("key"), "key")
        _check_signature(key, body, _text(envelope, "signature", 128))
        return _request(_object(body), key, hashlib.sha256(body).hexdigest())
    except Invalid:
        raise
    except (ValueError, binascii.Error, RecursionError) as error:
        raise Invalid(f"not a request: {str(error)[:200]}") from None


def _check_signature(key: str, body: bytes, signature: str) -> None:
    if not secrets.verified(key, REQUEST + body, signature):
        raise Invalid("the request is not signed by its key")


def _request(body: Mapping[str, object], key: str, digest: str) -> Request:
    action, moment = _text(body, "action", 16), body.get("time")
    if action not in (JOIN, READY, SYNC, LEAVE):
        raise Invalid("an unknown action")
    if not isinstance(moment, int) or isinstance(moment, bool) or not 0 <= moment < 10**11:
        raise Invalid("`time` is not a Unix time")
    session = "" if action == JOIN else _text(body, "session", 64)
    join = _join(body, key) if action == JOIN else None
    certificate = body.get("certificate") is True
    knows = str(body.get("knows", ""))[:16]
    here = _here(body.get("here"))
    return Request(action, key, digest, float(moment), session, certificate, join, knows, here)


def _here(listed: object) -> str:
    """Return the first endpoint of a node's own network, none where it is not a private address."""
    first = listed[0] if isinstance(listed, list) and listed else ""
    if not isinstance(first, str) or len(first) > 64:
        return ""
    host, _, port = first.rpartition(":")
    try:
        address = ip_address(host.strip("[]"))
        usable = address.is_private and not (address.is_loopback or address.is_link_local)
        return endpoint(address, int(port)) if usable and port.isascii() and 0 < int(port) < 65536 else ""
    except ValueError:
        return ""


def endpoint(address: IPv4Address | IPv6Address, port: int) -> str:
    """Return ADDRESS:PORT, an IPv6 address in brackets."""
    return f"[{address}]:{port}" if address.version == 6 else f"{address}:{port}"


def _join(body: Mapping[str, object], identity: str) -> Join:
    ssh_key = matching(SSH_KEY, body.get("ssh_key"), "ssh_key")
    raw = base64.b64decode(ssh_key.split()[1])[-32:]
    proof = str(body.get("proof", ""))[:128]
    return Join(
        _text(body, "token", 16_384),
        host_name(body.get("name")),
        matching(WIREGUARD_KEY, body.get("wireguard"), "wireguard"),
        ssh_key,
        secrets.verified(raw.hex(), PROOF + bytes.fromhex(identity), proof),
    )


def _object(data: bytes) -> Mapping[str, object]:
    if len(data) > LARGEST:
        raise Invalid(f"more than {LARGEST} bytes")
    found = json.loads(data.decode("ascii"))
    if not isinstance(found, dict):
        raise Invalid("not an object")
    return found


def _text(values: Mapping[str, object], name: str, longest: int) -> str:
    found = values.get(name)
    if not isinstance(found, str) or not 0 < len(found) <= longest or not found.isascii():
        raise Invalid(f"`{name}` is missing or too long")
    return found
