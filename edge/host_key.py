"""The host key of sshd: the node program signs with it, which proves that this machine has the key.

The file has OpenSSH's format (PROTOCOL.key of its sources), without a passphrase, as host keys are.
"""

import base64
import struct
from typing import List

from edge import ed25519
from edge.errors import EdgeError
from edge.places import Places, read

PROOF = b"onext-edge host key 1\0"  # what is signed begins with it
_MAGIC = b"openssh-key-v1\0"
_BEGIN, _END = "-----BEGIN OPENSSH PRIVATE KEY-----", "-----END OPENSSH PRIVATE KEY-----"


def proof(places: Places, identity: bytes) -> str:
    """Return the host key's signature of this node's public identity, in hex; raise EdgeError."""
    text = read(places.host_key)
    try:
        seed = _seed(text)
    except (ValueError, IndexError, struct.error):
        raise EdgeError(
            f"{places.host_key} is not an Ed25519 key without a passphrase: make one with ssh-keygen -A"
        ) from None
    return ed25519.sign(seed, PROOF + identity).hex()


def _seed(text: str) -> bytes:
    data = base64.b64decode(text.partition(_BEGIN)[2].partition(_END)[0])
    if not data.startswith(_MAGIC):
        raise ValueError("not OpenSSH's format")
    cipher, _kdf, _options, rest = _strings(data[len(_MAGIC) :], 3)
    if cipher != b"none" or rest[:4] != b"\0\0\0\1":
        raise ValueError("encrypted, or several keys")
    _public, private, _ = _strings(rest[4:], 2)
    kind, public, secret, _ = _strings(private[8:], 3)
    if kind != b"ssh-ed25519" or len(secret) != 64 or secret[32:] != public:
        raise ValueError("another kind of key")
    return secret[:32]


def _strings(data: bytes, count: int) -> List[bytes]:
    """Return so many strings, each with its length before it, and what follows."""
    found = []
    for _ in range(count):
        (size,) = struct.unpack_from(">I", data)
        if size > len(data) - 4:
            raise ValueError("cut")
        found.append(data[4 : 4 + size])
        data = data[4 + size :]
    return [*found, data]
