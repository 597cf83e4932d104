"""Signatures of Standard Webhooks 1.0: v1 (HMAC-SHA256) and v1a (ed25519) over `id.timestamp.body`.

https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
While a key is rotated a request has the signatures of both keys, separated by a space.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import Sequence
from dataclasses import dataclass, field

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

SYMMETRIC, ASYMMETRIC = "whsec_", "whsk_"
_SHORTEST, _LONGEST = 24, 64  # bytes of a symmetric key, by the specification


class InvalidKey(ValueError):
    """The text is not a key of Standard Webhooks."""


@dataclass(frozen=True)
class Key:
    """A signing key; its bytes are never shown."""

    secret: bytes = field(repr=False)
    asymmetric: bool = False

    @classmethod
    def parse(cls, text: str) -> Key:
        """Read `whsec_<base64>` or `whsk_<base64>` (32 bytes of ed25519 seed); raise InvalidKey."""
        prefix = next((one for one in (SYMMETRIC, ASYMMETRIC) if text.startswith(one)), None)
        if prefix is None:
            raise InvalidKey("a signing key begins with whsec_ or whsk_")
        try:
            secret = base64.b64decode(text.removeprefix(prefix), validate=True)
        except (binascii.Error, ValueError):
            raise InvalidKey("what follows the prefix of a signing key is base64") from None
        asymmetric = prefix == ASYMMETRIC
        if asymmetric and len(secret) != 32:
            raise InvalidKey("an ed25519 key has 32 bytes")
        if not asymmetric and not _SHORTEST <= len(secret) <= _LONGEST:
            raise InvalidKey(f"a symmetric key has {_SHORTEST} to {_LONGEST} bytes")
        return cls(secret, asymmetric)

    def sign(self, identity: str, timestamp: int, body: bytes) -> str:
        """Return one signature with its version."""
        content = f"{identity}.{timestamp}.".encode() + body
        if self.asymmetric:
            signature = Ed25519PrivateKey.from_private_bytes(self.secret).sign(content)
            return "v1a," + base64.b64encode(signature).decode()
        return "v1," + base64.b64encode(hmac.new(self.secret, content, hashlib.sha256).digest()).decode()


def headers(keys: Sequence[Key], identity: str, timestamp: int, body: bytes) -> dict[str, str]:
    """Return the headers that a receiver checks: one signature for each key."""
    signatures = " ".join(key.sign(identity, timestamp, body) for key in keys)
    return {"webhook-id": identity, "webhook-timestamp": str(timestamp), "webhook-signature": signatures}
