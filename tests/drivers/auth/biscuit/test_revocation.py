"""The list of revoked tokens: read at each login, and doubt about it closes the door."""

from __future__ import annotations

import secrets
from types import ModuleType

import pytest
from biscuit_auth import Biscuit, BiscuitBuilder, BiscuitValidationError, BlockBuilder, KeyPair, PrivateKey

from .conftest import Driver

ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551


@pytest.fixture
def token(root: KeyPair) -> Biscuit:
    """Return a token of three blocks."""
    built = BiscuitBuilder('user("dann1")').build(root.private_key)
    return built.append(BlockBuilder("check if true")).append(BlockBuilder("check if 1 == 1"))


@pytest.mark.process
@pytest.mark.parametrize("block", [0, 1, 2])
@pytest.mark.parametrize(
    "form", ["{}\n", "{}", "other\n{}\n", "{} # lost laptop\n", "\ufeff{}\r\n", "  {}\n", "upper"]
)
def test_any_block(driver: Driver, root: KeyPair, token: Biscuit, block: int, form: str) -> None:
    """A revoked token still opens, because of a later block or of how somebody wrote the list."""
    identifier = token.revocation_ids[block]
    driver.revoked.write_text(identifier.upper() if form == "upper" else form.format(identifier))
    answer = driver.login("dann1", root.public_key, token)
    assert (answer.code, answer.stdout) == (1, "")
    assert answer.stderr.startswith(f"biscuit: refused: revoked: block {block} ")


@pytest.mark.process
def test_others_are_not_touched(driver: Driver, root: KeyPair, token: Biscuit) -> None:
    """Ten thousand revoked tokens shut out a token that is none of them."""
    driver.revoked.write_text("".join(f"{secrets.token_hex(64)}\n" for _ in range(10_000)))
    assert driver.login("dann1", root.public_key, token).code == 0


@pytest.mark.process
@pytest.mark.parametrize("before", [0, 1, 32_767, 32_768 - 64, 32_768 - 127, 32_768 - 128, 32_768, 300_000])
def test_anywhere_in_a_long_list(driver: Driver, root: KeyPair, token: Biscuit, before: int) -> None:
    """An id is overlooked where two pieces of the list meet."""
    driver.revoked.write_text("f" * before + "\n" + token.revocation_ids[1] + "\n" + "f" * 70_000)
    assert driver.login("dann1", root.public_key, token).stderr.startswith(
        "biscuit: refused: revoked: block 1 "
    )


@pytest.mark.process
@pytest.mark.parametrize("state", ["missing", "a folder", "writable by all"])
def test_a_doubtful_list_refuses_everybody(driver: Driver, root: KeyPair, token: Biscuit, state: str) -> None:
    """A list that went away, or that anybody can empty, lets revoked tokens in again."""
    if state == "writable by all":
        driver.revoked.chmod(0o666)
    else:
        driver.revoked.unlink()
    if state == "a folder":
        driver.revoked.mkdir()
    answer = driver.login("dann1", root.public_key, token)
    assert answer.code == 1
    assert answer.stderr.startswith("biscuit: refused: revocation list: ")
    assert str(driver.revoked) in answer.stderr


def _field(number: int, body: bytes) -> bytes:
    size, length = len(body), b""
    while size > 127:
        length, size = length + bytes((size & 127 | 128,)), size >> 7
    return bytes((number << 3 | 2,)) + length + bytes((size,)) + body


def _with_other_signature(token: Biscuit, other: bytes) -> bytes:
    """Return a one-block token with another signature: fields 2 (authority) and in it 3 (signature)."""
    data, signature = bytes(token.to_bytes()), bytes.fromhex(token.revocation_ids[0])
    position = data.index(_field(3, signature))
    end = position + len(_field(3, signature))
    length_bytes = 2 if data[1] > 127 else 1
    size = data[1] & 127 | (data[2] << 7 if length_bytes == 2 else 0)
    authority_end = 1 + length_bytes + size
    authority = data[1 + length_bytes : position] + _field(3, other) + data[end:authority_end]
    return _field(2, authority) + data[authority_end:]


def test_the_library_takes_both_forms_of_an_ecdsa_signature(rules: ModuleType) -> None:
    """The reason for the test below is gone: the library refuses one of the two forms."""
    for number in range(1, 12):
        pair = KeyPair.from_private_key(PrivateKey(f"secp256r1-private/{number:064x}"))
        token = BiscuitBuilder('user("dann1")').build(pair.private_key)
        first = bytes.fromhex(token.revocation_ids[0])
        same, other = rules.signature_forms(first)
        assert same == first != other
        forged = Biscuit.from_bytes(_with_other_signature(token, other), pair.public_key)
        assert forged.revocation_ids == [other.hex()]
        assert rules.signature_forms(other) == [other, first]
        with pytest.raises(BiscuitValidationError):
            Biscuit.from_bytes(
                _with_other_signature(token, first[:-1] + bytes((first[-1] ^ 1,))), pair.public_key
            )


@pytest.mark.process
def test_the_other_form_of_a_revoked_signature(driver: Driver, rules: ModuleType) -> None:
    """Whoever holds a revoked token of a secp256r1 key computes one that is not in the list."""
    pair = KeyPair.from_private_key(PrivateKey("secp256r1-private/" + "17" * 32))
    token = BiscuitBuilder('user("dann1")').build(pair.private_key)
    other = rules.signature_forms(bytes.fromhex(token.revocation_ids[0]))[1]
    forged = Biscuit.from_bytes(_with_other_signature(token, other), pair.public_key)
    assert driver.login("dann1", pair.public_key, forged).code == 0
    driver.revoked.write_text(f"{token.revocation_ids[0]}\n")
    assert driver.login("dann1", pair.public_key, token).code == 1
    assert driver.login("dann1", pair.public_key, forged).stderr.startswith("biscuit: refused: revoked")
