"""Blocks that are added without a biscuit library: valid for the library, and any damage is refused."""

from __future__ import annotations

import base64
from datetime import datetime, timedelta, timezone

import pytest
from biscuit_auth import AuthorizationError, AuthorizerBuilder, Biscuit, BiscuitBuilder, BlockBuilder, KeyPair

from edge import narrowing
from edge.errors import InvalidToken
from tests.waiting import PATIENCE

PAIR, OTHER = KeyPair(), KeyPair()
NEVER = datetime(2100, 1, 1, tzinfo=timezone.utc)


def authority() -> Biscuit:
    """Return a token as the front-end makes it."""
    return BiscuitBuilder("edge_token(7); check if time($t), $t <= {e}", {"e": NEVER}).build(PAIR.private_key)


def third_party(token: Biscuit) -> Biscuit:
    """Return a token with a block that somebody else signed, whose words are not shared."""
    block = token.third_party_request().create_block(
        OTHER.private_key, BlockBuilder('vouched("somebody", "else")')
    )
    return token.append_third_party(OTHER.public_key, block)


def many_words(token: Biscuit, count: int) -> Biscuit:
    """Return a token with so many words of its own, long and short."""
    return token.append(BlockBuilder("; ".join(f'word_{n}("{"x" * n}")' for n in range(count))))


TOKENS = {
    "plain": authority(),
    "narrowed": authority().append(BlockBuilder('check if name("edge-1")')),
    "third party": third_party(authority()),
    "third party, then a block": third_party(authority()).append(BlockBuilder('check if name("edge-1")')),
    "many words": many_words(authority(), 200),
    "newer": authority().append(BlockBuilder('check if name($n), $n.type() == "string"')),
    "newer at first": BiscuitBuilder(
        'edge_token(7); check if name($n), $n.type() == "string"; check if time($t), $t <= {e}', {"e": NEVER}
    ).build(PAIR.private_key),
    "either": authority().append(BlockBuilder('check if node_key("00") or name("edge-1")')),
    "knows the words": authority().append(BlockBuilder('node_key("00"); name("ab")')),
}


def patient(builder: AuthorizerBuilder) -> None:
    """Let a decision take its time: a millisecond is too short for a busy machine."""
    limits = builder.limits()  # type: ignore[attr-defined]
    limits.max_time = timedelta(seconds=PATIENCE)
    builder.set_limits(limits)  # type: ignore[attr-defined]


def accepted(token: str, key: str) -> bool:
    """Return whether the library accepts a token for a key."""
    bound = Biscuit.from_base64(token, PAIR.public_key)
    text = 'name("edge-1"); node_key({k}); allow if edge_token(7)'
    builder = AuthorizerBuilder(text, {"k": key})
    builder.set_time()  # type: ignore[attr-defined]  # biscuit-python 0.4's stub omits it
    patient(builder)
    try:
        builder.build(bound).authorize()
    except AuthorizationError:
        return False
    return True


@pytest.mark.parametrize("name", TOKENS)
def test_any_token_can_be_bound_again_and_again(name: str) -> None:
    """A token that the library narrowed first could not be used by a node; a bound one would let others in."""
    token = TOKENS[name].to_base64()
    for count in range(1, 4):
        token = narrowing.bind(token, "node_key", "ab")
        assert Biscuit.from_base64(token, PAIR.public_key).block_count() == TOKENS[name].block_count() + count
        assert accepted(token, "ab")
        assert not accepted(token, "ac")
    both = narrowing.bind(token, "node_key", "ac")
    assert not accepted(both, "ab")
    assert not accepted(both, "ac")


@pytest.mark.parametrize("size", [0, 1, 126, 127, 128, 129, 255, 256, 16_383, 16_384, 20_000])
def test_values_of_any_length(size: int) -> None:
    """Lengths of one, two and three bytes are written in another way each."""
    value = "k" * size
    token = narrowing.bind(TOKENS["plain"].to_base64(), "node_key", value)
    assert accepted(token, value)
    assert not accepted(token, value + "k")


def test_the_text_of_the_block_is_a_check_and_nothing_else() -> None:
    """A fact in it would be a holder's statement."""
    token = narrowing.bind(TOKENS["plain"].to_base64(), "node_key", "ab")
    source = Biscuit.from_base64(token, PAIR.public_key).block_source(1)
    assert source.strip().rstrip(";") == 'check if node_key("ab")'


def parts(token: str) -> narrowing._Fields:
    """Return the parts of a token."""
    return narrowing._read(base64.urlsafe_b64decode(token))


def test_a_block_is_the_one_that_the_library_makes() -> None:
    """A library of another language may be stricter than the one that front-ends use."""
    plain = TOKENS["plain"]
    ours = parts(narrowing.bind(plain.to_base64(), "node_key", "ab"))
    theirs = parts(plain.append(BlockBuilder('check if node_key("ab")')).to_base64())
    assert narrowing._read(bytes(ours[3][0]))[1] == narrowing._read(bytes(theirs[3][0]))[1]
    assert ours[2] == theirs[2]
    assert 5 not in narrowing._read(bytes(ours[3][0])), "a version only where the block before has one"


def test_the_name_of_the_key_that_signed_stays() -> None:
    """A front-end with two keys would not know by which one to verify."""
    made = BiscuitBuilder("edge_token(7); check if time($t), $t <= {e}", {"e": NEVER})
    made.set_root_key_id(5)
    token = made.build(PAIR.private_key).to_base64()
    bound = narrowing.bind(token, "node_key", "ab")
    assert parts(bound)[1] == parts(token)[1] == [5]
    assert accepted(bound, "ab")


def test_a_token_without_its_padding_is_read() -> None:
    """Base64 loses its equals signs in the join token's word."""
    for token in (*TOKENS.values(), *(many_words(authority(), 1 + count) for count in range(24))):
        assert accepted(narrowing.bind(token.to_base64().rstrip("="), "node_key", "ab"), "ab")


@pytest.mark.parametrize("name", ["plain", "third party"])
def test_a_token_that_is_cut_anywhere_is_refused_or_worth_nothing(name: str) -> None:
    """A token copied without its end must not print a traceback, nor become a valid one."""
    data = base64.urlsafe_b64decode(TOKENS[name].to_base64())
    for end in range(len(data)):
        with pytest.raises(InvalidToken, match="cut, altered or sealed"):
            narrowing.bind(base64.urlsafe_b64encode(data[:end]).decode(), "node_key", "ab")


def test_a_sealed_token_is_refused() -> None:
    """A sealed token has no next key: no front-end would accept a block that is added to it."""
    fields = narrowing._read(base64.urlsafe_b64decode(TOKENS["plain"].to_base64()))
    proof = narrowing._field(4, narrowing._field(2, b"x" * 64))
    sealed = narrowing._field(2, bytes(fields[2][0])) + proof
    with pytest.raises(InvalidToken):
        narrowing.bind(base64.urlsafe_b64encode(sealed).decode(), "node_key", "ab")


@pytest.mark.parametrize(
    ("number", "data"),
    [
        (0, b"\x00"), (1, b"\x01"), (127, b"\x7f"), (128, b"\x80\x01"), (129, b"\x81\x01"), (300, b"\xac\x02"),
        (16_383, b"\xff\x7f"), (16_384, b"\x80\x80\x01"), (2**63, b"\x80" * 9 + b"\x01"),
    ],
)  # fmt: skip
def test_numbers_of_protobuf(number: int, data: bytes) -> None:
    """The specification's own encoding: any other is read as another number by the front-end."""
    assert narrowing._varint(number) == data
    assert narrowing._number(b"\xff" + data + b"\xff", 1) == (number, 1 + len(data))


def test_what_is_no_protobuf() -> None:
    """Bytes of a stranger must neither loop for ever nor be taken for a token."""
    assert narrowing._read(b"") == {}
    assert narrowing._read(b"\x08\x96\x01\x12\x02ab\x12\x00\x08\x01") == {1: [150, 1], 2: [b"ab", b""]}
    assert narrowing._number(b"\x80" * 9 + b"\x01", 0) == (2**63, 10)
    with pytest.raises(ValueError, match="too long"):
        narrowing._number(b"\x80" * 10 + b"\x01", 0)
    with pytest.raises(ValueError, match="behind the token"):
        narrowing._read(b"\x12\x03ab")
    for kind in (1, 3, 4, 5, 6, 7):
        with pytest.raises(ValueError, match="unknown type"):
            narrowing._read(bytes([8 | kind, 1, 0]))
    with pytest.raises(IndexError):
        narrowing._read(b"\x80")
