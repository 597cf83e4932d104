"""The private keys of this zone and of this server's hub: files of oneadmin, mode 600.

token.key      signs join tokens (Ed25519, hex)         the zone's
answer.key     signs answers to nodes (Ed25519, hex)     the zone's
user_ca        signs oneadmin's certificate (OpenSSH)    the zone's
host_ca        signs nodes' host certificates            the zone's
user_key       oneadmin's key on edge nodes              the zone's
user_key.old   the one before, until it is revoked       the zone's
answer.key.old the one before, for nodes that know it    the zone's
hub.key        WireGuard, base64                         this server's
"""

from __future__ import annotations

import base64
import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from onext.paths import Paths

TOKEN, ANSWER, USER_CA, HOST_CA, USER, HUB = (
    "token.key",
    "answer.key",
    "user_ca",
    "host_ca",
    "user_key",
    "hub.key",
)
FORMER_USER, FORMER_ANSWER = "user_key.old", "answer.key.old"
FORMER = (FORMER_USER, FORMER_ANSWER)  # where they were replaced
ZONE = (TOKEN, ANSWER, USER_CA, HOST_CA, USER)  # what `init --from` brings to another server
_LARGEST = 4096  # bytes of a key file


class SecretsError(Exception):
    """A key is missing, exists already, or cannot be used; the message names the file."""


@dataclass(frozen=True)
class Secrets:
    """The folder of the keys."""

    folder: Path

    @classmethod
    def of(cls, paths: Paths) -> Secrets:
        """Return the keys of a front-end."""
        return cls(paths.var / "edge")

    def file(self, name: str) -> Path:
        """Return where a key is."""
        return self.folder / name

    def present(self) -> list[str]:
        """Return the names of the keys that are there."""
        return [name for name in (*ZONE, HUB) if self.file(name).exists()]

    def create(self, name: str) -> None:
        """Make a key; raise SecretsError where it exists."""
        self.write(name, _generated(name))

    def replace(self, name: str, content: bytes | None = None) -> None:
        """Put another key in the place of one, at one moment; raise SecretsError."""
        draft = f"{name}.new"
        self.file(draft).unlink(missing_ok=True)
        self.write(draft, _generated(name) if content is None else content)
        self.file(draft).replace(self.file(name))

    def keep_former(self, name: str, former: str) -> None:
        """Let a key have another name too, under which it stays when it is replaced; raise OSError."""
        self.file(former).unlink(missing_ok=True)
        os.link(self.file(name), self.file(former))

    def write(self, name: str, content: bytes) -> None:
        """Write a key that only its owner reads, whole or not; raise SecretsError rather than replace one."""
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor, draft = tempfile.mkstemp(prefix=f".{name}.", dir=self.folder)  # mode 600
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            os.link(draft, self.file(name))
        except FileExistsError:
            raise SecretsError(f"{self.file(name)} exists already: a key is never overwritten") from None
        finally:
            Path(draft).unlink()

    def read(self, name: str) -> bytes:
        """Return a key as its file holds it; raise SecretsError."""
        try:
            descriptor = os.open(self.file(name), os.O_RDONLY | os.O_NOFOLLOW)
        except OSError as error:
            raise SecretsError(f"{self.file(name)}: {error.strerror}; `onext edge init` makes it") from None
        with os.fdopen(descriptor, "rb") as file:
            if os.fstat(descriptor).st_mode & 0o077:
                raise SecretsError(f"{self.file(name)}: other users can read it: make a new key")
            return file.read(_LARGEST)

    def exported(self) -> Mapping[str, str]:
        """Return the zone's keys, for another server, and former ones."""
        former = [name for name in FORMER if self.file(name).exists()]
        return {name: self.read(name).decode() for name in (*ZONE, *former)}

    def signing(self, name: str) -> Ed25519PrivateKey:
        """Return an Ed25519 key; raise SecretsError."""
        try:
            return Ed25519PrivateKey.from_private_bytes(bytes.fromhex(self.read(name).decode()))
        except ValueError:
            raise SecretsError(f"{self.file(name)} holds no key") from None

    def public(self, name: str) -> str:
        """Return a public key: hex, base64 of WireGuard, or OpenSSH's line without a remark."""
        if name in (TOKEN, ANSWER, FORMER_ANSWER):
            return self.signing(name).public_key().public_bytes_raw().hex()
        try:
            if name == HUB:
                private = X25519PrivateKey.from_private_bytes(base64.b64decode(self.read(name)))
                return base64.b64encode(private.public_key().public_bytes_raw()).decode()
            key = serialization.load_ssh_private_key(self.read(name), None)
        except ValueError:
            raise SecretsError(f"{self.file(name)} holds no key") from None
        return (
            key.public_key()
            .public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH)
            .decode()
        )


def _generated(name: str) -> bytes:
    """Return a new private key as its file holds it."""
    if name in (TOKEN, ANSWER):
        return Ed25519PrivateKey.generate().private_bytes_raw().hex().encode()
    if name == HUB:
        return base64.b64encode(X25519PrivateKey.generate().private_bytes_raw()) + b"\n"
    form = (serialization.PrivateFormat.OpenSSH, serialization.NoEncryption())
    return Ed25519PrivateKey.generate().private_bytes(serialization.Encoding.PEM, *form)


def verified(key: str, message: bytes, signature: str) -> bool:
    """Return whether an Ed25519 signature in hex is valid; the key is hex too."""
    try:
        Ed25519PublicKey.from_public_bytes(bytes.fromhex(key)).verify(bytes.fromhex(signature), message)
    except (InvalidSignature, ValueError):
        return False
    return True
