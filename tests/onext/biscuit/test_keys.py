"""Keys: every spelling of OpenNebula's users and of the biscuit CLI, and files that stay secret."""

from __future__ import annotations

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
    with pytest.raises(KeyUnreadable, match="holds no private key"):
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
    with pytest.raises(KeyUnreadable, match="holds no key"):
        keys.read_public(str(file))


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
