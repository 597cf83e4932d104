"""Keys: every spelling of OpenNebula's users and of the biscuit CLI, and files that stay secret."""

from __future__ import annotations

import base64
import contextlib
import subprocess
from pathlib import Path

import pytest
from biscuit_auth import PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from onext.biscuit import keys
from onext.biscuit.errors import KeyUnreadable

SEED = "17" * 32
ED = PrivateKey(f"ed25519-private/{SEED}")
P256 = PrivateKey(f"secp256r1-private/{SEED}")
PUBLIC = str(keys.public_of(ED))
# Made for this test with `openssl pkey`, from the same 32 bytes.
PEM = """\
-----BEGIN PRIVATE KEY-----
MC4CAQAwBQYDK2VwBCIEIBcXFxcXFxcXFxcXFxcXFxcXFxcXFxcXFxcXFxcXFxcX
-----END PRIVATE KEY-----
"""


@pytest.mark.parametrize(
    ("text", "key"),
    [
        (SEED, ED),
        (SEED.upper() + "\n", ED),
        (f"ed25519/{SEED}", ED),
        (f"ed25519-private/{SEED}\n", ED),
        (f"secp256r1/{SEED}", P256),
        (f"secp256r1-private/{SEED}", P256),
        (PEM, ED),
        (f"Generating a new random keypair\nPrivate key: {SEED}\nPublic key: {PUBLIC}\n", ED),
        (f"Generating a new random keypair\nPrivate key: ed25519-private/{SEED}\nPublic key: {PUBLIC}\n", ED),
    ],
)
def test_private_keys_of_the_biscuit_cli(tmp_path: Path, text: str, key: PrivateKey) -> None:
    """A key that the biscuit CLI 0.4, 0.5 or 0.6 wrote must be made anew."""
    (tmp_path / "key").write_text(text)
    assert str(keys.read_private(tmp_path / "key")) == str(key)


@pytest.mark.parametrize(
    "text", ["", "x", SEED[:-1], f"rsa/{SEED}", PEM[:-40], "Private key: x\n", PUBLIC + "00"]
)
def test_what_is_no_private_key(tmp_path: Path, text: str) -> None:
    """A broken key file is a traceback."""
    (tmp_path / "key").write_text(text)
    with pytest.raises(KeyUnreadable, match="contains no private key"):
        keys.read_private(tmp_path / "key")


def test_a_missing_key_says_how_to_make_one(tmp_path: Path) -> None:
    """A new user does not learn what to do first."""
    with pytest.raises(KeyUnreadable, match="onext biscuit keygen --out"):
        keys.read_private(tmp_path / "key")


def test_public_keys(tmp_path: Path) -> None:
    """The administrator's spelling of a key, or the file at hand, is not understood."""
    bare, file = PUBLIC.removeprefix("ed25519/"), tmp_path / "key"
    for word in (bare, PUBLIC, bare.upper()):
        assert [str(key) for key in keys.read_public(word)] == [PUBLIC]
        file.write_text(word + "\n")
        assert [str(key) for key in keys.read_public(str(file))] == [PUBLIC]
    p256 = str(keys.public_of(P256))
    assert [str(key) for key in keys.read_public(f"{bare},{p256}")] == [PUBLIC, p256]
    file.write_text(PEM)
    assert [str(key) for key in keys.read_public(str(file))] == [PUBLIC]
    for word in (str(tmp_path), str(tmp_path / "gone"), p256.removeprefix("secp256r1/")):
        with pytest.raises(KeyUnreadable):
            keys.read_public(word)
    file.write_text("rubbish")
    with pytest.raises(KeyUnreadable, match="contains no key"):
        keys.read_public(str(file))


def pem(label: str, body: bytes) -> str:
    """Return PEM."""
    text = base64.b64encode(body).decode()
    lines = [text[start : start + 64] for start in range(0, len(text), 64)]
    return "\n".join([f"-----BEGIN {label}-----", *lines, f"-----END {label}-----", ""])


def ring_v2(public: bytes, tag: bytes) -> str:
    """Return what ring's Ed25519KeyPair::generate_pkcs8 writes, in PEM."""
    head = bytes.fromhex("020101300506032b657004220420") + bytes.fromhex(SEED)
    inner = head + (b"\xa1\x23\x03\x21\x00" if tag == b"\xa1" else b"\x81\x21\x00") + public
    return pem("PRIVATE KEY", b"\x30" + bytes((len(inner),)) + inner)


OWN = bytes.fromhex(PUBLIC.partition("/")[2])
P256_SEC1 = bytes.fromhex("30310201010420" + SEED + "a00a06082a8648ce3d030107")
P256_PKCS8 = bytes.fromhex(
    "3041020100301306072a8648ce3d020106082a8648ce3d0301070427" + "30250201010420" + SEED
)


@pytest.mark.parametrize(
    ("text", "key"),
    [
        (PEM.replace("\n", "\r\n"), ED),
        (f"Bag Attributes\n    friendlyName: dann1\nKey Attributes: <No Attributes>\n{PEM}", ED),
        (f"Private key: {PEM}Public key: {PUBLIC}\n", ED),
        (f"Private key:\r\n{PEM}\r\nPublic key:\r\n{PUBLIC}\r\n".replace("\n", "\r\n"), ED),
        (ring_v2(OWN, b"\xa1"), ED),
        (ring_v2(OWN, b"\x81").replace("\n", "\r\n"), ED),
        (pem("EC PRIVATE KEY", P256_SEC1), P256),
        (pem("PRIVATE KEY", P256_PKCS8), P256),
        (
            pem("EC PARAMETERS", bytes.fromhex("06082a8648ce3d030107")) + pem("EC PRIVATE KEY", P256_SEC1),
            P256,
        ),
        (f"Private key: {SEED}\r\nPublic key: {PUBLIC}\r\n", ED),
    ],
)
def test_D5_pem_of_other_tools(tmp_path: Path, text: str, key: PrivateKey) -> None:
    """A key with labels, ends of lines of Windows, or made by ring has to be made anew."""
    (tmp_path / "key").write_bytes(text.encode())
    assert str(keys.read_private(tmp_path / "key")) == str(key)
    assert [str(one) for one in keys.read_public(str(tmp_path / "key"))] == [str(keys.public_of(key))]


@pytest.mark.parametrize(
    "text",
    [
        ring_v2(bytes(32), b"\xa1"),
        ring_v2(OWN, b"\x81").replace("PRIVATE KEY", "ENCRYPTED PRIVATE KEY"),
        pem("PRIVATE KEY", b""),
        pem("PRIVATE KEY", b"\x30\x82"),
        pem("PRIVATE KEY", b"\x30\x03\x02\x01\x00"),
        pem("PRIVATE KEY", bytes.fromhex("302e020100300506032b656f04220420" + SEED)),  # X25519... 1.3.101.111
        pem("EC PRIVATE KEY", bytes.fromhex("302e0201010420" + SEED + "a00706052b8104000a")),  # another curve
        pem("OPENSSH PRIVATE KEY", b"openssh-key-v1"),
        PEM.replace("MC4C", "MC4!"),
        "-----BEGIN PRIVATE KEY-----\n" + "A" * 100_000 + "\n-----END PRIVATE KEY-----\n",
        "-----BEGIN A-----" * 5000,
    ],
)
def test_D5_pem_that_is_no_key(tmp_path: Path, text: str) -> None:
    """A damaged or foreign key is a traceback, or another key than the file's."""
    (tmp_path / "key").write_text(text)
    with pytest.raises(KeyUnreadable, match="contains no private key"):
        keys.read_private(tmp_path / "key")


@pytest.mark.process
@pytest.mark.parametrize("algorithm", ["ed25519", "P-256"])
@pytest.mark.parametrize("form", ["pkcs8", "sec1"])
def test_D5_keys_of_openssl(tmp_path: Path, algorithm: str, form: str) -> None:
    """What the documentation tells people to do with openssl gives a key that is refused."""
    if form == "sec1" and algorithm == "ed25519":
        return  # openssl has no such form
    option = ["-algorithm", "ed25519"] if algorithm == "ed25519" else [
        "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256",
    ]  # fmt: skip
    private, public = tmp_path / "key", tmp_path / "key.pub"
    subprocess.run(["openssl", "genpkey", *option, "-out", private], check=True, capture_output=True)
    if form == "sec1":
        subprocess.run(["openssl", "ec", "-in", private, "-out", private], check=True, capture_output=True)
    subprocess.run(["openssl", "pkey", "-in", private, "-pubout", "-out", public], check=True)
    (mine,) = keys.read_public(str(private))
    (theirs,) = keys.read_public(str(public))
    assert str(mine) == str(theirs)
    assert str(keys.public_of(keys.read_private(private))) == str(theirs)


@given(st.binary(max_size=200))
def test_D5_any_bytes_in_pem_are_a_key_or_refused(body: bytes) -> None:
    """A crafted file ends in a traceback."""
    for label in ("PRIVATE KEY", "EC PRIVATE KEY", "PUBLIC KEY"):
        with contextlib.suppress(ValueError):
            (keys.parse_public if label == "PUBLIC KEY" else keys.parse_private)(pem(label, body))


def test_pem_is_what_openssl_writes() -> None:
    """Other tools cannot read the PEM that keygen writes."""
    assert keys.text(ED, "pem") == PEM
    with pytest.raises(KeyUnreadable, match="ed25519 only"):
        keys.text(P256, "pem")


def test_hex_is_what_the_biscuit_cli_parses() -> None:
    """The biscuit CLI refuses our file: 0.6 wants the algorithm before the digits, 0.4 none, both no newline."""
    assert keys.text(ED) == f"ed25519-private/{SEED}"
    assert keys.text(ED, "bare") == SEED
    assert keys.text(P256, "bare") == SEED


def test_a_key_is_secret_and_never_overwritten(tmp_path: Path) -> None:
    """A second keygen destroys the only key of a user, or others read it."""
    file = tmp_path / "new/key"
    keys.write_private(file, "first")
    assert file.stat().st_mode & 0o777 == 0o600
    assert file.parent.stat().st_mode & 0o777 == 0o700
    assert not keys.others_can_read(file)
    with pytest.raises(KeyUnreadable, match="never overwritten"):
        keys.write_private(file, "second")
    assert file.read_text() == "first"
    file.chmod(0o644)
    assert keys.others_can_read(file)


@given(st.sampled_from([keys.ED25519, keys.SECP256R1]))
def test_generated_keys_are_read_back(algorithm: str) -> None:
    """Keygen makes a key that login cannot use."""
    key = keys.generate(algorithm)
    assert str(key).startswith(f"{algorithm}-private/")
    assert str(keys.parse_private(str(key))) == str(key)
    stored = keys.stored(keys.public_of(key))
    assert str(keys.parse_public(stored)) == str(keys.public_of(key))
    assert " " not in stored


def test_the_last_number_that_can_be_drawn_is_a_key(monkeypatch: pytest.MonkeyPatch) -> None:
    """One login in 2^256 fails, or a key is zero: the smallest and the largest are keys of P-256."""
    for drawn, secret in ((lambda below: below - 1, keys.P256_ORDER - 1), (lambda _: 0, 1)):
        monkeypatch.setattr("secrets.randbelow", drawn)
        assert str(keys.generate(keys.SECP256R1)) == f"secp256r1-private/{secret:064x}"
