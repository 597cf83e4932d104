"""Keys, in every form that OpenNebula users and the biscuit CLI (0.4 to 0.6) use."""

from __future__ import annotations

import base64
import os
import re
import secrets
from pathlib import Path

from biscuit_auth import KeyPair, PrivateKey, PublicKey

from onext.biscuit import pem
from onext.biscuit.errors import KeyUnreadable

ED25519, SECP256R1 = "ed25519", "secp256r1"
FORMS = ("hex", "bare", "pem")
SEPARATOR = ","  # between the stored keys of one user; OpenNebula allows no white space there
P256_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
_PKCS8_ED25519 = bytes.fromhex("302e020100300506032b657004220420")  # RFC 8410, then the 32 bytes
_PEM = "-----BEGIN "
_PEM_LINE = 64
# 0.4 writes bare hex, 0.5 `ed25519/`, 0.6 `ed25519-private/`; `biscuit keypair` puts words before it.
_PRIVATE = re.compile(r"(?:(ed25519|secp256r1)(?:-private)?/)?([0-9a-fA-F]{64})")
_PUBLIC = re.compile(r"(?:(ed25519)/)?([0-9a-fA-F]{64})|(secp256r1)/([0-9a-fA-F]{66})")
_LABELLED = re.compile(r"^(Private|Public) key: (\S+)\s*$", re.MULTILINE)


def generate(algorithm: str = ED25519) -> PrivateKey:
    """Return a new private key."""
    if algorithm == ED25519:
        return KeyPair().private_key
    return PrivateKey(f"{SECP256R1}-private/{1 + secrets.randbelow(P256_ORDER - 1):064x}")


def public_of(private: PrivateKey) -> PublicKey:
    """Return the public half of a private key."""
    return KeyPair.from_private_key(private).public_key


def stored(public: PublicKey) -> str:
    """Return a public key as OpenNebula stores it: bare hex for ed25519, as COGNIT's driver has it."""
    return str(public).removeprefix(f"{ED25519}/")


def text(private: PrivateKey, form: str = "hex") -> str:
    """Return a private key as a file holds it: `hex` for the biscuit CLI 0.6, `bare` for 0.4 and 0.5, `pem`.

    No newline after hex: the CLI parses such a file as it is.
    """
    digits = str(private).rpartition("/")[2]
    return {"hex": str(private), "bare": digits}.get(form) or _pem(private)


def _pem(private: PrivateKey) -> str:
    algorithm, _, digits = str(private).partition("-private/")
    if algorithm != ED25519:
        raise KeyUnreadable("PEM is written for ed25519 only; use --format hex")
    body = base64.b64encode(_PKCS8_ED25519 + bytes.fromhex(digits)).decode()
    lines = [body[i : i + _PEM_LINE] for i in range(0, len(body), _PEM_LINE)]
    return "\n".join(["-----BEGIN PRIVATE KEY-----", *lines, "-----END PRIVATE KEY-----", ""])


_EXISTS = "{} already exists: a key is never overwritten; use --out FILE"


def write_private(path: Path, content: str) -> None:
    """Write a private key that only its owner reads; raise KeyUnreadable rather than replace one."""
    require_free(path)
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        raise KeyUnreadable(_EXISTS.format(path)) from None
    with os.fdopen(descriptor, "w") as file:
        file.write(content)


def require_free(path: Path) -> None:
    """Raise KeyUnreadable where there is a file already."""
    if path.exists():
        raise KeyUnreadable(_EXISTS.format(path))


def read_private(path: Path) -> PrivateKey:
    """Return the private key in a file: hex or PEM."""
    content = _read(path, f"make one with `onext biscuit keygen --out {path}`")
    try:
        return parse_private(content)
    except ValueError:
        raise KeyUnreadable(f"{path} contains no private key (hex or PEM of ed25519 or secp256r1)") from None


def parse_private(text: str) -> PrivateKey:
    """Return a private key; raise ValueError."""
    if _PEM in text:
        return pem.private(text)
    text = _label(text, "Private")
    match = _PRIVATE.fullmatch(text)
    if not match:
        raise ValueError("not a private key")
    return PrivateKey(f"{match[1] or ED25519}-private/{match[2].lower()}")


def read_public(word: str) -> list[PublicKey]:
    """Return the public keys in a text (several with commas) or a file.

    Of a private key's file its public half; bare hex is always a public key, because a public key that is
    mistaken for a private one would verify signatures of any user.
    """
    try:
        return [parse_public(part) for part in word.split(SEPARATOR)]
    except ValueError:
        text = _read(Path(word), "give an existing file, or a public key in hex")
    try:
        return [parse_public(text)]
    except ValueError:
        pass
    try:
        return [public_of(parse_private(text))]
    except ValueError:
        raise KeyUnreadable(f"{word} contains no key (hex or PEM of ed25519 or secp256r1)") from None


def parse_public(text: str) -> PublicKey:
    """Return a public key; raise ValueError."""
    return pem.public(text) if _PEM in text else parse_stored(_label(text, "Public"))


def parse_stored(text: str) -> PublicKey:
    """Return a public key as OpenNebula may hold it, the whole text of it; raise ValueError."""
    match = _PUBLIC.fullmatch(text)
    if not match:
        raise ValueError("not a public key")
    return PublicKey(f"{match[3] or ED25519}/{(match[4] or match[2]).lower()}")


def others_can_read(path: Path) -> bool:
    """Whether users other than the owner can read a private key's file, as with files of the biscuit CLI."""
    return bool(path.stat().st_mode & 0o077)


def _label(text: str, label: str) -> str:
    labelled = {match[1]: match[2] for match in _LABELLED.finditer(text)}
    return labelled.get(label, text.strip())


def _read(path: Path, remedy: str) -> str:
    try:
        return path.read_text()
    except FileNotFoundError:
        raise KeyUnreadable(f"{path}: file not found; {remedy}") from None
    except (OSError, UnicodeDecodeError) as error:
        raise KeyUnreadable(f"{path}: {error}") from None
