"""OpenSSH certificates: nodes' host keys, and oneadmin's user key."""

from __future__ import annotations

from collections.abc import Sequence

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization.ssh import (
    SSHCertificate,
    SSHCertificateBuilder,
    SSHCertificateType,
)

TOLERANCE = 300  # seconds by which clocks may differ


def host(authority: bytes, key: str, names: Sequence[str], *, serial: int, now: float, days: int) -> str:
    """Return a host certificate for a public key, as a line; `authority` is the private key's file."""
    return _signed(authority, key, SSHCertificateType.HOST, names, (), serial, (now, days))


def user(authority: bytes, key: str, principal: str, source: str, *, now: float, days: int) -> str:
    """Return a user certificate that is accepted from the network `source` only, as a line."""
    options = (
        (b"permit-agent-forwarding", b""),
        (b"permit-port-forwarding", b""),
        (b"permit-pty", b""),
    )
    return _signed(
        authority, key, SSHCertificateType.USER, [principal], options, 0, (now, days), source=source
    )


def parties(line: str) -> tuple[str, str] | None:
    """Return the certified key and the key of the authority; None if the line is not a certificate."""
    try:
        found = serialization.load_ssh_public_identity(line.encode())
    except (ValueError, UnsupportedAlgorithm):
        return None
    if not isinstance(found, SSHCertificate):
        return None
    keys = (found.public_key(), found.signature_key())
    form = (serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH)
    key, authority = (one.public_bytes(*form).decode() for one in keys)
    return key, authority


def _signed(
    authority: bytes,
    key: str,
    kind: SSHCertificateType,
    names: Sequence[str],
    options: Sequence[tuple[bytes, bytes]],
    serial: int,
    valid: tuple[float, int],
    source: str = "",
) -> str:
    now, days = valid
    private = serialization.load_ssh_private_key(authority, None)
    public = serialization.load_ssh_public_key(key.encode())
    assert isinstance(private, Ed25519PrivateKey)
    assert isinstance(public, Ed25519PublicKey)
    builder = (
        SSHCertificateBuilder()
        .public_key(public)
        .type(kind)
        .serial(serial)
        .key_id(f"onext-edge {names[0]} {serial}".encode())
        .valid_principals([name.encode() for name in names])
        .valid_after(int(now) - TOLERANCE)
        .valid_before(int(now) + days * 86_400 + TOLERANCE)
    )
    for name, value in options:
        builder = builder.add_extension(name, value)
    if source:
        builder = builder.add_critical_option(b"source-address", source.encode())
    return builder.sign(private).public_bytes().decode()
