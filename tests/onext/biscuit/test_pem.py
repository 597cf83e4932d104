"""Keys in PEM, field by field: whatever is not exactly a key is refused."""

from __future__ import annotations

import base64

import pytest

from onext.biscuit import pem
from onext.biscuit.keys import parse_private, public_of

SEED = bytes(range(32))
ED = parse_private(SEED.hex())
P256 = parse_private(f"secp256r1/{SEED.hex()}")
ED_PUBLIC = bytes.fromhex(str(public_of(ED)).rpartition("/")[2])
P256_PUBLIC = bytes.fromhex(str(public_of(P256)).rpartition("/")[2])
ED_OID, EC_OID, P256_OID = (
    b"\x06\x03\x2b\x65\x70",
    bytes.fromhex("06072a8648ce3d0201"),
    bytes.fromhex("06082a8648ce3d030107"),
)


def der(tag: int, *contents: bytes) -> bytes:
    """Return one field of DER."""
    body = b"".join(contents)
    size = bytes((len(body),)) if len(body) < 0x80 else b"\x81" + bytes((len(body),))
    return bytes((tag,)) + size + body


def block(label: str, body: bytes) -> str:
    """Return PEM."""
    return f"-----BEGIN {label}-----\n{base64.b64encode(body).decode()}\n-----END {label}-----\n"


VERSION = der(2, b"\x00")
ED_PKCS8 = (VERSION, der(0x30, ED_OID), der(4, der(4, SEED)))
SEC1 = (der(2, b"\x01"), der(4, SEED))
P256_PKCS8 = (VERSION, der(0x30, EC_OID, P256_OID), der(4, der(0x30, *SEC1)))


def other(public: bytes) -> bytes:
    """Return another public key of the same form."""
    wrong = parse_private("07" * 32 if len(public) == 32 else "secp256r1/" + "07" * 32)
    return bytes.fromhex(str(public_of(wrong)).rpartition("/")[2])


@pytest.mark.parametrize(
    ("label", "fields", "expected"),
    [
        ("PRIVATE KEY", ED_PKCS8, str(ED)),
        ("PRIVATE KEY", (*ED_PKCS8, der(0x81, b"\0", ED_PUBLIC)), str(ED)),
        ("PRIVATE KEY", (*ED_PKCS8, der(0xA1, der(3, b"\0", ED_PUBLIC))), str(ED)),
        ("PRIVATE KEY", (*ED_PKCS8, der(0xA0), der(0x81, b"\0", ED_PUBLIC)), str(ED)),
        ("PRIVATE KEY", (*ED_PKCS8, der(0x81, b"\0", other(ED_PUBLIC))), "is not that of the private key"),
        (
            "PRIVATE KEY",
            (*ED_PKCS8, der(0xA1, der(3, b"\0", other(ED_PUBLIC)))),
            "is not that of the private key",
        ),
        ("PRIVATE KEY", (*ED_PKCS8, der(0x81, b"\1", ED_PUBLIC)), "not whole bytes in a BIT STRING"),
        ("PRIVATE KEY", (*ED_PKCS8, der(0x81)), "not whole bytes in a BIT STRING"),
        ("PRIVATE KEY", P256_PKCS8, str(P256)),
        ("PRIVATE KEY", (*P256_PKCS8, der(0x81, b"\0", P256_PUBLIC)), str(P256)),
        (
            "PRIVATE KEY",
            (*P256_PKCS8, der(0x81, b"\0", other(P256_PUBLIC))),
            "is not that of the private key",
        ),
        ("PRIVATE KEY", (der(4, b"\0"), *ED_PKCS8[1:]), "not PKCS#8"),
        ("PRIVATE KEY", (VERSION, der(0x31, ED_OID), ED_PKCS8[2]), "not PKCS#8"),
        ("PRIVATE KEY", (*ED_PKCS8[:2], der(3, der(4, SEED))), "not PKCS#8"),
        ("PRIVATE KEY", (*ED_PKCS8[:2], der(4, der(4, SEED[1:]))), "31 bytes are not a private key"),
        ("PRIVATE KEY", (*ED_PKCS8[:2], der(4, der(4, SEED, b"x"))), "33 bytes are not a private key"),
        ("PRIVATE KEY", (*ED_PKCS8[:2], der(4, der(4, SEED), b"x")), "cut"),
        ("PRIVATE KEY", (VERSION, der(0x30, EC_OID), P256_PKCS8[2]), "a key of another algorithm"),
        ("PRIVATE KEY", (VERSION, der(0x30, P256_OID, EC_OID), P256_PKCS8[2]), "a key of another algorithm"),
        (
            "PRIVATE KEY",
            (VERSION, der(0x30, b"\x06\x03\x2b\x65\x71"), ED_PKCS8[2]),
            "a key of another algorithm",
        ),
        ("EC PRIVATE KEY", SEC1, str(P256)),
        ("EC PRIVATE KEY", (*SEC1, der(0xA0, P256_OID)), str(P256)),
        ("EC PRIVATE KEY", (*SEC1, der(0xA0, P256_OID), der(0xA1, der(3, b"\0", P256_PUBLIC))), str(P256)),
        (
            "EC PRIVATE KEY",
            (*SEC1, der(0xA1, der(3, b"\0", other(P256_PUBLIC)))),
            "is not that of the private key",
        ),
        ("EC PRIVATE KEY", (*SEC1, der(0xA0, EC_OID)), "a key of another curve"),
        ("EC PRIVATE KEY", (SEC1[0], der(3, SEED)), "not an ECPrivateKey"),
        ("EC PRIVATE KEY", (der(4, b"\1"), SEC1[1]), "not an ECPrivateKey"),
        ("ENCRYPTED PRIVATE KEY", ED_PKCS8, "a key of type ENCRYPTED PRIVATE KEY is not supported"),
        ("PUBLIC KEY", ED_PKCS8, "no private key in PEM"),
    ],
)
def test_a_private_key_is_read_or_refused(label: str, fields: tuple[bytes, ...], expected: str) -> None:
    """A login fails with a key that its owner has, or a key is used that is not what the file states."""
    text = "remark\n" + block(label, der(0x30, *fields))
    if expected.startswith(("ed25519", "secp256r1")):
        assert str(pem.private(text)) == expected
    else:
        with pytest.raises(ValueError, match=expected):
            pem.private(text)


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ((der(0x30, ED_OID), der(3, b"\0", ED_PUBLIC)), f"ed25519/{ED_PUBLIC.hex()}"),
        ((der(0x30, EC_OID, P256_OID), der(3, b"\0", P256_PUBLIC)), f"secp256r1/{P256_PUBLIC.hex()}"),
        ((der(0x30, ED_OID), der(4, b"\0", ED_PUBLIC)), None),
        ((der(0x30, ED_OID), der(3, b"\0", ED_PUBLIC), der(2, b"\0")), None),
        ((der(0x30, ED_OID),), None),
    ],
)
def test_a_public_key_is_read_or_refused(fields: tuple[bytes, ...], expected: str | None) -> None:
    """A user is stored with a key that nobody has, and is locked out."""
    text = block("PUBLIC KEY", der(0x30, *fields))
    if expected:
        assert str(pem.public(text)) == expected
    else:
        with pytest.raises(ValueError, match="not the DER fields of a key"):
            pem.public(text)


@pytest.mark.parametrize(
    ("data", "fields"),
    [
        (b"", []),
        (b"\x04\x00", [(4, b"")]),
        (b"\x04\x01x\x02\x00", [(4, b"x"), (2, b"")]),
        (b"\x04\x7f" + b"x" * 127, [(4, b"x" * 127)]),
        (b"\x04\x81\x80" + b"x" * 128, [(4, b"x" * 128)]),
        (b"\x04\x82\x01\x00" + b"x" * 256 + b"\x02\x00", [(4, b"x" * 256), (2, b"")]),
        (b"\x04", "cut"),
        (b"\x04\x02x", "cut"),
        (b"\x04\x81\x80" + b"x" * 127, "cut"),
        (b"\x04\x80", "an invalid length"),
        (b"\x04\x83\x00\x00\x01x", "an invalid length"),
        (b"\x04\x82\x01", "an invalid length"),
        (b"\x04\x81", "an invalid length"),
    ],
)
def test_fields_have_the_length_that_they_state(data: bytes, fields: list[tuple[int, bytes]] | str) -> None:
    """A file that was cut would yield half a key, or a traceback."""
    if isinstance(fields, str):
        with pytest.raises(ValueError, match=fields):
            list(pem._fields(data))
    else:
        assert [tuple(field) for field in pem._fields(data)] == fields


def test_a_text_has_a_largest_size(monkeypatch: pytest.MonkeyPatch) -> None:
    """A command would search through any file that is given for a key."""
    text = block("PRIVATE KEY", der(0x30, *ED_PKCS8))
    monkeypatch.setattr(pem, "LARGEST", len(text))
    assert str(pem.private(text)) == str(ED)
    with pytest.raises(ValueError, match=f"more than {len(text)} characters"):
        pem.private(text + "x")
    with pytest.raises(ValueError, match="not base64 in PEM"):
        pem.private("-----BEGIN PRIVATE KEY-----a-----END PRIVATE KEY-----")
