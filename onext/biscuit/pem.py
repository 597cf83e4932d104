"""Keys in PEM, as openssl, the biscuit CLI, `ring` and others write them: PKCS#8 v1 and v2, SEC 1, SPKI.

Text around the block, such as labels or attributes, and the ends of lines do not matter (RFC 7468).
PKCS#8 is RFC 5958, whose version 2 holds the public key too; Ed25519 in it is RFC 8410.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterator
from typing import NamedTuple

from biscuit_auth import KeyPair, PrivateKey, PublicKey

LARGEST = 65_536  # characters
_BLOCK = re.compile(r"-----BEGIN ([A-Z0-9 ]{1,40})-----([^-]{1,8192})-----END \1-----")
_SEQUENCE, _INTEGER, _BITS, _OCTETS, _OID = 0x30, 0x02, 0x03, 0x04, 0x06
_PUBLIC_IMPLICIT, _PUBLIC_EXPLICIT = 0x81, 0xA1  # RFC 5958; SEC 1, and PKCS#8 of ring before 0.17
_ED25519 = bytes.fromhex("2b6570")
_ELLIPTIC, _P256 = bytes.fromhex("2a8648ce3d0201"), bytes.fromhex("2a8648ce3d030107")


class _Field(NamedTuple):
    tag: int
    value: bytes


def private(text: str) -> PrivateKey:
    """Return the first private key in PEM; raise ValueError."""
    for label, body in _blocks(text):
        if label == "PRIVATE KEY":
            return _pkcs8(body)
        if label == "EC PRIVATE KEY":
            return _sec1(body, None)
        if "PRIVATE KEY" in label:
            raise ValueError(
                f"a key of type {label} is not supported: convert it to unencrypted PEM with `openssl pkey`"
            )
    raise ValueError("no private key in PEM")


def public(text: str) -> PublicKey:
    """Return the first public key in PEM; raise ValueError."""
    for label, body in _blocks(text):
        if label == "PUBLIC KEY":
            algorithm, bits = _inside(_one(body, _SEQUENCE), _SEQUENCE, _BITS)
            return _public(_algorithm(algorithm), _bits(bits))
    raise ValueError("no public key in PEM")


def _blocks(text: str) -> Iterator[tuple[str, bytes]]:
    if len(text) > LARGEST:
        raise ValueError(f"more than {LARGEST} characters")
    for found in _BLOCK.finditer(text):
        try:
            yield found[1], base64.b64decode("".join(found[2].split()), validate=True)
        except binascii.Error as error:
            raise ValueError("not base64 in PEM") from error


def _pkcs8(body: bytes) -> PrivateKey:
    version, algorithm, wrapped, *more = _fields(_one(body, _SEQUENCE))
    if (version.tag, algorithm.tag, wrapped.tag) != (_INTEGER, _SEQUENCE, _OCTETS):
        raise ValueError("not PKCS#8")
    stated = _beside(more)
    if _algorithm(algorithm.value) == "ed25519":
        return _checked("ed25519", _one(wrapped.value, _OCTETS), stated)
    return _sec1(wrapped.value, stated)


def _sec1(body: bytes, stated: bytes | None) -> PrivateKey:
    version, secret, *more = _fields(_one(body, _SEQUENCE))
    if (version.tag, secret.tag) != (_INTEGER, _OCTETS):
        raise ValueError("not an ECPrivateKey")
    parameters = next((field.value for field in more if field.tag == 0xA0), None)
    if parameters is not None and _one(parameters, _OID) != _P256:
        raise ValueError("a key of another curve")
    return _checked("secp256r1", secret.value, _beside(more) or stated)


def _beside(fields: list[_Field]) -> bytes | None:
    """Return the public key that is stored beside a private one."""
    for field in fields:
        if field.tag == _PUBLIC_IMPLICIT:
            return _bits(field.value)
        if field.tag == _PUBLIC_EXPLICIT:
            return _bits(_one(field.value, _BITS))
    return None


def _checked(algorithm: str, secret: bytes, stated: bytes | None) -> PrivateKey:
    """Return a private key; raise ValueError where the public key beside it does not belong to it."""
    if len(secret) != 32:
        raise ValueError(f"{len(secret)} bytes are not a private key")
    key = PrivateKey(f"{algorithm}-private/{secret.hex()}")
    if stated is not None and str(_public(algorithm, stated)) != str(
        KeyPair.from_private_key(key).public_key
    ):
        raise ValueError("the public key in the file is not that of the private key")
    return key


def _public(algorithm: str, point: bytes) -> PublicKey:
    """Return a public key; of a point of P-256 the library takes both the compressed and the long form."""
    return PublicKey(f"{algorithm}/{point.hex()}")


def _algorithm(identifier: bytes) -> str:
    oid, *parameters = _fields(identifier)
    if oid == _Field(_OID, _ED25519):
        return "ed25519"
    if oid == _Field(_OID, _ELLIPTIC) and parameters[:1] == [_Field(_OID, _P256)]:
        return "secp256r1"
    raise ValueError("a key of another algorithm than ed25519 and secp256r1")


def _bits(value: bytes) -> bytes:
    if value[:1] != b"\0":
        raise ValueError("not whole bytes in a BIT STRING")
    return value[1:]


def _one(data: bytes, tag: int) -> bytes:
    """Return the content of the one field that `data` is."""
    (content,) = _inside(data, tag)
    return content


def _inside(data: bytes, *tags: int) -> list[bytes]:
    found = list(_fields(data))
    if [field.tag for field in found] != list(tags):
        raise ValueError("not the DER fields of a key")
    return [field.value for field in found]


def _fields(data: bytes) -> Iterator[_Field]:
    """Yield the fields of DER (X.690); raise ValueError."""
    while data:
        if len(data) < 2:
            raise ValueError("cut")
        size, start = data[1], 2
        if size >= 0x80:
            count = size & 0x7F
            if not 1 <= count <= 2 or len(data) < 2 + count:
                raise ValueError("an invalid length of a DER field")
            size, start = int.from_bytes(data[2 : 2 + count], "big"), 2 + count
        if len(data) < start + size:
            raise ValueError("cut")
        yield _Field(data[0], data[start : start + size])
        data = data[start + size :]
