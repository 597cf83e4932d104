"""Certificates: for one key, for some names, for some days, with no right that is not needed."""

from __future__ import annotations

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization.ssh import (
    SSHCertificate,
    SSHCertificateType,
    load_ssh_public_identity,
)

from hooks.edge import certificates
from tests.hooks.edge.front_end import ssh_key

NOW, DAYS, KEY = 1_000_000.5, 90, ssh_key()
AUTHORITY = Ed25519PrivateKey.generate().private_bytes(
    serialization.Encoding.PEM, serialization.PrivateFormat.OpenSSH, serialization.NoEncryption()
)


def read(line: str) -> SSHCertificate:
    """Return a certificate whose signature is valid."""
    found = load_ssh_public_identity(line.encode())
    assert isinstance(found, SSHCertificate)
    found.verify_cert_signature()
    form = (serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH)
    assert found.public_key().public_bytes(*form).decode() == KEY
    return found


def test_a_hosts_certificate() -> None:
    """A certificate for other names lets a node be its neighbour; clocks that differ must not lock it out."""
    found = read(certificates.host(AUTHORITY, KEY, ["edge-1", "fd00::1:0"], serial=7, now=NOW, days=DAYS))
    assert (found.type, found.serial, found.key_id) == (SSHCertificateType.HOST, 7, b"onext-edge edge-1 7")
    assert found.valid_principals == [b"edge-1", b"fd00::1:0"]
    assert (found.valid_after, found.valid_before) == (999_700, 1_000_300 + 90 * 86_400)
    assert (found.extensions, found.critical_options) == ({}, {})


def test_oneadmins_certificate() -> None:
    """Whoever copies its key could log in from anywhere; migrations need the agent and a forwarded port."""
    found = read(certificates.user(AUTHORITY, KEY, "oneadmin", "fd00::/64", now=NOW, days=DAYS))
    assert (found.type, found.serial, found.valid_principals) == (SSHCertificateType.USER, 0, [b"oneadmin"])
    assert found.critical_options == {b"source-address": b"fd00::/64"}
    assert found.extensions == dict.fromkeys(
        (b"permit-agent-forwarding", b"permit-port-forwarding", b"permit-pty"), b""
    )


def test_whose_a_certificate_is() -> None:
    """A renewal would be skipped, or be made each time, where a certificate is taken for another's."""
    line = certificates.host(AUTHORITY, KEY, ["edge-1"], serial=7, now=NOW, days=DAYS)
    private = serialization.load_ssh_private_key(AUTHORITY, None)
    form = (serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH)
    authority = private.public_key().public_bytes(*form).decode()
    assert certificates.parties(line) == (KEY, authority)
    for other in (KEY, "", "x", line[:-9], "ssh-unknown AAAA"):
        assert certificates.parties(other) is None
