"""Biscuit tokens as bytes: enough of the format to take one apart, and to sign what no library would.

Format: Biscuit = 1 root key id, 2 authority, 3 blocks …, 4 proof; SignedBlock = 1 block, 2 next key,
3 signature (specification of biscuit, schema.proto). Whoever holds a token that is not sealed holds the
secret of its last next key, and can append any bytes as a block with a good signature.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

AUTHORITY, BLOCK, PROOF = 2, 3, 4
_ED25519 = (0).to_bytes(4, "little")


class Field(NamedTuple):
    """One length-delimited field of a message."""

    number: int
    body: bytes


def take_apart(message: bytes) -> list[Field]:
    """Return the fields of a message that holds only length-delimited ones."""
    found, position = [], 0
    while position < len(message):
        key, position = _varint(message, position)
        size, position = _varint(message, position)
        found.append(Field(key >> 3, message[position : position + size]))
        position += size
    return found


def put_together(fields: Sequence[Field]) -> bytes:
    """Return the message of these fields."""
    return b"".join(_encode(f.number << 3 | 2) + _encode(len(f.body)) + f.body for f in fields)


def block_of(signed: bytes) -> bytes:
    """Return the datalog bytes in a signed block."""
    return take_apart(signed)[0].body


def append(token: bytes, payload: bytes, secret: bytes) -> bytes:
    """Return the token with `payload` as one more block, signed as the format's version 0 wants it."""
    *kept, proof = take_apart(token)
    signer = Ed25519PrivateKey.from_private_bytes(take_apart(proof.body)[0].body)
    following = Ed25519PrivateKey.from_private_bytes(secret).public_key().public_bytes_raw()
    # algorithm 0 (a varint), then the key
    key = b"\x08\x00" + put_together([Field(2, following)])
    signature = signer.sign(payload + _ED25519 + following)
    signed = put_together([Field(1, payload), Field(2, key), Field(3, signature)])
    return put_together([*kept, Field(BLOCK, signed), Field(PROOF, put_together([Field(1, secret)]))])


def _varint(data: bytes, position: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[position]
        position += 1
        value |= (byte & 127) << shift
        shift += 7
        if byte < 128:
            return value, position


def _encode(value: int) -> bytes:
    out = b""
    while value > 127:
        out += bytes((value & 127 | 128,))
        value >>= 7
    return out + bytes((value,))
