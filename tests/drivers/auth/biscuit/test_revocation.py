"""The list of revoked tokens: read at each login, and doubt about it closes the door."""

from __future__ import annotations

import secrets
from pathlib import Path
from types import ModuleType
from unittest import mock

import pytest
from biscuit_auth import Biscuit, BiscuitBuilder, BiscuitValidationError, BlockBuilder, KeyPair, PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from onext.biscuit import policy, revocation
from onext.biscuit.errors import ListUnusable

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
    "form", ["{}\n", "{}", "# other\n{}\n", "{} # lost laptop\n", "\ufeff{}\r\n", "  {}\n", "upper"]
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


def remarks(size: int) -> str:
    """Return so many characters of lines that hold no id."""
    return ("#" + "f" * 126 + "\n") * (size // 128) + "#" * (size % 128)


@pytest.mark.process
@pytest.mark.parametrize("before", [0, 1, 32_767, 32_768 - 64, 32_768 - 127, 32_768 - 128, 32_768, 300_000])
def test_anywhere_in_a_long_list(driver: Driver, root: KeyPair, token: Biscuit, before: int) -> None:
    """An id is overlooked where two pieces of the list meet."""
    driver.revoked.write_text(remarks(before) + "\n" + token.revocation_ids[1] + "\n" + remarks(70_000))
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


ED = "ab" * 64
DER = "3045" + "0220" + "11" * 32 + "0221" + "00" + "ab" * 32
GOOD_LISTS = {
    "empty": "",
    "blank lines": "\n \n\t\n",
    "both kinds": f"{ED}\n{DER}\n",
    "remarks": f"# lost laptops\n{ED} dann1\n{DER}\t# stolen \u00e9\r\n#{'x' * 4000}\n",
    "capitals": ED.upper() + "\n" + DER.upper(),
}
BAD_LISTS = {
    "wrapped": (f"{ED}\n{ED[:64]}\n{ED[64:]}\n", 2),
    "truncated": (f"# x\n{ED}\n{ED[:-2]}", 3),
    "half a byte": (f"{ED[:-1]}\n", 1),
    "longer": (f"{ED}ab\n", 1),
    "two on a line": (f"{ED},{ED}\n", 1),
    "truncated DER": (f"{DER[:-2]}\n", 1),
    "DER cut to the length of the others": (f"{ED}\n{DER[:128]}\n", 2),
    "DER with more": (f"{DER}00\n", 1),
    "not hexadecimal": (f"{ED}\n\n{'g' * 128}\n", 3),
    "a word": ("other\n", 1),
    "a remark without its mark": (f"{ED}\nlost laptops: {ED}\n", 2),
    "a byte order mark": (f"\ufeff{ED}\n", 1),
    "a NUL": (f"{ED}\n\0\n", 2),
    "a line of 5,000": (f"{ED}\n#{'x' * 5000}\n", 2),
    "a line of 100,000": (f"{ED}\n#{'x' * 100_000}\n{ED}\n", 2),
    "far away": (f"{ED}\n" * 3000 + "x\n" + f"{ED}\n" * 3000, 3001),
}


@pytest.mark.process
@pytest.mark.parametrize("case", GOOD_LISTS)
def test_S11_lists_that_are_good(driver: Driver, root: KeyPair, token: Biscuit, case: str) -> None:
    """A remark or a blank line in the list keeps every biscuit user out."""
    driver.revoked.write_text(GOOD_LISTS[case])
    assert driver.login("dann1", root.public_key, token).code == 0
    assert set(revocation.read(driver.revoked)) <= {ED, DER}


@pytest.mark.process
@pytest.mark.parametrize("case", BAD_LISTS)
def test_S11_a_line_that_is_no_id_is_named(driver: Driver, root: KeyPair, token: Biscuit, case: str) -> None:
    """An id that was wrapped or cut revokes nothing, and its token still opens."""
    text, line = BAD_LISTS[case]
    driver.revoked.write_text(text)
    answer = driver.login("dann1", root.public_key, token)
    assert (answer.code, answer.stdout) == (1, "")
    assert answer.stderr == (
        f"biscuit: refused: revocation list: {driver.revoked}:{line} is not a revocation id: every login is refused\n"
    )
    with pytest.raises(ListUnusable, match=f":{line} is not a revocation id"):
        revocation.read(driver.revoked)


@pytest.mark.process
@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-32"])
def test_S11_a_list_in_another_encoding(driver: Driver, root: KeyPair, token: Biscuit, encoding: str) -> None:
    """An editor that saves UTF-16 lets every revoked token in again, and the check counts them."""
    driver.revoked.write_bytes(f"{token.revocation_ids[0]}\n{ED}\n".encode(encoding))
    answer = driver.login("dann1", root.public_key, token)
    assert answer.code == 1
    assert f"{driver.revoked}:1 is not a revocation id" in answer.stderr
    with pytest.raises(ListUnusable, match=":1 is not a revocation id"):
        revocation.read(driver.revoked)


@given(
    st.text("0123456789abcdef", min_size=14, max_size=150) | st.binary(min_size=7, max_size=80).map(bytes.hex)
)
def test_S11_driver_and_commands_agree_on_what_an_id_is(rules: ModuleType, word: str) -> None:
    """A line that the command adds makes the driver refuse everybody, or the reverse."""
    for spelled in (word, "30" + word, "3044" + "0220" + word[:64].ljust(64, "1") + "0220" + "2" * 64):
        assert rules.is_identifier(spelled.encode()) == revocation._is_identifier(spelled)


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


def test_S13_the_library_takes_both_forms_of_an_ecdsa_signature(rules: ModuleType) -> None:
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
def test_S13_the_other_form_of_a_revoked_signature(driver: Driver, rules: ModuleType) -> None:
    """Whoever holds a revoked token of a secp256r1 key computes one that is not in the list."""
    pair = KeyPair.from_private_key(PrivateKey("secp256r1-private/" + "17" * 32))
    token = BiscuitBuilder('user("dann1")').build(pair.private_key)
    other = rules.signature_forms(bytes.fromhex(token.revocation_ids[0]))[1]
    forged = Biscuit.from_bytes(_with_other_signature(token, other), pair.public_key)
    assert driver.login("dann1", pair.public_key, forged).code == 0
    driver.revoked.write_text(f"{token.revocation_ids[0]}\n")
    assert driver.login("dann1", pair.public_key, token).code == 1
    assert driver.login("dann1", pair.public_key, forged).stderr.startswith("biscuit: refused: revoked")
    with pytest.raises(policy.Refused, match="revoked: block 0"):
        policy.check(forged, "dann1", [token.revocation_ids[0]])


def test_S13_no_other_encoding_of_a_signature_is_taken(rules: ModuleType) -> None:
    """A revoked token opens again in an encoding that is not in the list."""
    pair = KeyPair.from_private_key(PrivateKey("secp256r1-private/" + "17" * 32))
    token = BiscuitBuilder('user("dann1")').build(pair.private_key)
    signature = bytes.fromhex(token.revocation_ids[0])
    after_r = 4 + signature[3]
    r, s = (int.from_bytes(part, "big") for part in (signature[4:after_r], signature[after_r + 2 :]))
    other = (r.to_bytes(33, "big").lstrip(b"\0"), s.to_bytes(33, "big").lstrip(b"\0"))
    for changed in (
        _der(b"\0\0" + other[0], _signed(s)),
        _der(_signed(r), b"\0\0" + other[1]),
        _der(_signed(r + ORDER), _signed(s)),
        _der(_signed(r), _signed(s + ORDER)),
        signature + b"\0",
        b"\x30\x81" + signature[1:],
        r.to_bytes(32, "big") + s.to_bytes(32, "big"),
    ):
        with pytest.raises(BiscuitValidationError):
            Biscuit.from_bytes(_with_other_signature(token, changed), pair.public_key)
    assert _der(_signed(r), _signed(s)) == signature
    small = 2**252 + 27742317777372353535851937790883648493
    pair = KeyPair()
    token = BiscuitBuilder('user("dann1")').build(pair.private_key)
    signature = bytes.fromhex(token.revocation_ids[0])
    more = (int.from_bytes(signature[32:], "little") + small).to_bytes(32, "little")
    for changed in (signature[:32] + more, signature + b"\0"):
        with pytest.raises(BiscuitValidationError):
            Biscuit.from_bytes(_with_other_signature(token, changed), pair.public_key)


def _signed(number: int) -> bytes:
    return number.to_bytes(number.bit_length() // 8 + 1, "big")


def _der(r: bytes, s: bytes) -> bytes:
    body = bytes((2, len(r))) + r + bytes((2, len(s))) + s
    return bytes((0x30, len(body))) + body


@pytest.mark.process
@pytest.mark.parametrize("block", [0, 1])
def test_S13_a_revoked_block_of_a_third_party(driver: Driver, root: KeyPair, block: int) -> None:
    """A token that a third party narrowed cannot be revoked by its own block, or at all."""
    signer = KeyPair.from_private_key(PrivateKey("secp256r1-private/" + "18" * 32))
    token = BiscuitBuilder('user("dann1")').build(root.private_key)
    added = token.third_party_request().create_block(signer.private_key, BlockBuilder("check if true"))
    token = token.append_third_party(signer.public_key, added)
    assert driver.login("dann1", root.public_key, token).code == 0
    driver.revoked.write_text(f"{token.revocation_ids[block]}\n")
    assert f"revoked: block {block} " in driver.login("dann1", root.public_key, token).stderr


GOOD = ("ab" * 64, "AB" * 64 + " # lost laptop", "# only a remark", "", "  " + "0f" * 64, "3006020101020101")


@given(st.lists(st.sampled_from(GOOD), max_size=12), st.integers(0, 12), st.integers(1, 400), st.data())
def test_S11_a_list_read_in_pieces_is_the_list(
    rules: ModuleType,
    tmp_path_factory: pytest.TempPathFactory,
    lines: list[str],
    at: int,
    piece: int,
    data: st.DataObject,
) -> None:
    """A revoked token would pass where the end of a piece cuts its line, or all logins would be refused."""
    path = tmp_path_factory.mktemp("list") / "revoked"
    path.touch(0o600)
    revoked = "c0ffee" + "12" * 61
    at = min(at, len(lines))

    def read(extra: str) -> None:
        path.write_text("\n".join([*lines[:at], extra, *lines[at:]]), encoding="utf-8")
        with mock.patch.object(rules, "PIECE", piece):
            rules.refuse_revoked(["34" * 64, revoked], str(path))

    read(data.draw(st.sampled_from(GOOD)))
    with pytest.raises(rules.Refused, match=f"revoked: block 1 is in {path}"):
        read(revoked.upper() + " # why")
    wrong = data.draw(
        st.sampled_from([revoked[:-1], "x" * 128, "30" * 64 + "0", "#" * 4097, "30440220" + "0" * 120])
    )
    with pytest.raises(rules.Refused, match=f"{path}:{at + 1} is not a revocation id"):
        read(wrong)


@pytest.mark.parametrize("mode", [0o602, 0o606, 0o667])
def test_a_list_that_everybody_may_change_refuses_every_login(
    rules: ModuleType, tmp_path: Path, mode: int
) -> None:
    """Any local user would take a revoked token off the list."""
    path = tmp_path / "revoked"
    path.touch()
    path.chmod(mode)
    with pytest.raises(rules.Refused, match="writable for all users"):
        rules.refuse_revoked(["34" * 64], str(path))
    path.chmod(0o644 & mode | 0o601)
    rules.refuse_revoked(["34" * 64], str(path))


@given(st.integers(2**248, ORDER - 1), st.integers(2**248, ORDER - 2**248))
def test_S13_both_forms_of_a_signature_are_each_others(rules: ModuleType, r: int, s: int) -> None:
    """The holder of a revoked token would make a valid one from it that is not in the list."""

    def der(number: int) -> bytes:
        body = number.to_bytes(number.bit_length() // 8 + 1, "big")
        return bytes((2, len(body))) + body

    def signature(second: int) -> bytes:
        body = der(r) + der(second)
        return bytes((0x30, len(body))) + body

    assert rules.signature_forms(signature(s)) == [signature(s), signature(ORDER - s)]
    for form in rules.signature_forms(signature(s)):
        assert rules.is_identifier(form.hex().encode())
        assert not rules.is_identifier(form.hex()[:-2].encode())
        assert not rules.is_identifier(form.hex().encode() + b"00")


@pytest.mark.parametrize(
    ("word", "is_id"),
    [
        ("3006" + "020101" + "020101", True),
        ("3106" + "020101" + "020101", False),
        ("3007" + "020101" + "020101", False),
        ("3006" + "030101" + "020101", False),
        ("3006" + "020101" + "030101", False),
        ("3006" + "020101" + "020201", False),
        ("3006" + "020501" + "020101", False),
        ("3005" + "020101" + "0201", False),
        ("3046" + "0221" + "00" * 33 + "0221" + "00" * 33, True),
        ("3047" + "0222" + "00" * 34 + "0221" + "00" * 33, False),
    ],
)
def test_S11_each_part_of_an_ecdsa_signature_counts(rules: ModuleType, word: str, is_id: bool) -> None:
    """A line that is nearly an id revokes nothing: it must refuse every login instead."""
    assert rules.is_identifier(word.encode()) is is_id
    assert revocation._is_identifier(word) is is_id
