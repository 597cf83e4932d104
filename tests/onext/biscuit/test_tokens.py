"""Tokens: what is made lets in whom it names, until when it says; what is added only restricts."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest
from biscuit_auth import BiscuitBuilder, PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from onext.biscuit import keys, policy, token_description, tokens
from onext.biscuit.errors import BadBlock, TokenUnreadable

NOW = datetime.now(timezone.utc)
DAY = timedelta(days=1)  # longer than all tests together
KEY = keys.generate()
PUBLIC = keys.public_of(KEY)


@given(st.text(st.characters(codec="utf-8"), min_size=1))
def test_a_name_is_a_value(name: str) -> None:
    """A user's name becomes datalog and lets in somebody else."""
    token = tokens.mint(KEY, name, NOW + DAY)
    policy.check(token, name)
    assert policy.users(token) == [name]
    with pytest.raises(policy.Refused, match="user:"):
        policy.check(token, name + "x")


def test_ends_when_it_says() -> None:
    """A short-lived token lives on."""
    with pytest.raises(policy.Refused, match="expired: block 0"):
        policy.check(tokens.mint(KEY, "a", NOW - DAY), "a")
    with pytest.raises(policy.Refused, match="expired: block 1"):
        policy.check(tokens.attenuate(tokens.mint(KEY, "a", NOW + DAY), NOW - DAY, []), "a")


def test_blocks_restrict() -> None:
    """--block is ignored, or lets in more."""
    with pytest.raises(policy.Refused, match="check: "):
        policy.check(tokens.mint(KEY, "a", None, ["check if false"]), "a")
    with pytest.raises(policy.Refused, match="user:"):
        policy.check(tokens.mint(KEY, "a", None, ['user("b")']), "b")
    policy.check(tokens.mint(KEY, "a", None, ["check if true", "check if 1 < 2"]), "a")


@pytest.mark.parametrize("block", ["check if", "}", "check if {x}", ""])
def test_a_block_that_is_no_datalog(block: str) -> None:
    """A slip of the pen is a traceback, or makes a token without the restriction."""
    if block == "":
        assert tokens.mint(KEY, "a", None, [block]).block_count() == 2
        return
    with pytest.raises(BadBlock, match="not datalog"):
        tokens.mint(KEY, "a", None, [block])


def test_users_with_terms_that_the_library_cannot_read() -> None:
    """A token with a set for a user kills the command by a panic of the library."""
    token = BiscuitBuilder('user({"a"}); user(["b"]); user(1); user("c"); user("d", "e")').build(KEY)
    assert policy.users(token) == ["c"]


def test_signature() -> None:
    """A token of another key, or no token at all, is taken for good."""
    text = tokens.mint(KEY, "a", None).to_base64()
    assert tokens.verified(text, [keys.public_of(keys.generate()), PUBLIC]).block_count() == 1
    with pytest.raises(TokenUnreadable, match="not signed by this key"):
        tokens.verified(text, [keys.public_of(keys.generate())])
    for bad in ("", "x", text[:-8], "ü"):
        with pytest.raises(TokenUnreadable, match="not a biscuit"):
            tokens.verified(bad, [PUBLIC])


def test_where_tokens_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A token in one_auth, in a file of the biscuit CLI or from another alphabet cannot be looked at."""
    text = tokens.mint(KEY, "a", None).to_base64()
    file = tmp_path / "token"
    monkeypatch.setenv("ONE_AUTH", str(file))
    for kept in (text, f"{text}\n", f"a:{text}", f"biscuit:{text}", text.replace("-", "+").replace("_", "/")):
        file.write_text(kept)
        assert tokens.read(str(file)) == tokens.read(None) == text
    with pytest.raises(
        TokenUnreadable, match=r"^the argument: File name too long; give a file with the token"
    ):
        tokens.read("E" * 400)
    with pytest.raises(TokenUnreadable, match="give a file"):
        tokens.read(str(tmp_path / "gone"))


@pytest.mark.parametrize(
    ("text", "length"),
    [
        ("90s", timedelta(seconds=90)),
        ("30m", timedelta(minutes=30)),
        ("1h30m", timedelta(minutes=90)),
        ("2d", timedelta(days=2)),
        ("1w1w", timedelta(weeks=2)),
        *[(text, None) for text in ("", "1", "h", "-1h", "0s", "1.5h", "1h ", "99999w", "9" * 30 + "d")],
    ],
)
def test_durations(text: str, length: timedelta | None) -> None:
    """--ttl 30 means thirty of something, or for ever."""
    if length is None:
        with pytest.raises(ValueError, match=r"not a duration|long|must be"):
            tokens.duration(text)
    else:
        assert tokens.duration(text) == length


def test_in_plain_words() -> None:
    """Inspect hides when a token ends, whom it lets in, or how to revoke it."""
    end = datetime(2030, 1, 1, tzinfo=timezone.utc)
    token = tokens.attenuate(tokens.mint(KEY, "dann1", end + DAY), end, ["check if true"])
    shown = token_description.read(tokens.unverified(token.to_base64()))
    assert shown.users == ("dann1",)
    assert shown.expires == end
    assert [block.expires for block in shown.blocks] == [end + DAY, end, None]
    assert [block.revocation_id for block in shown.blocks] == token.revocation_ids
    assert shown.blocks[2].statements == ("check if true",)
    assert token_description.left(end, end - timedelta(hours=5)) == "valid for 5 h"
    assert token_description.left(end, end + timedelta(days=3)) == "expired 3 d ago"
    assert token_description.left(None, end) == "never expires"


@given(st.binary(max_size=200))
def test_rubbish_is_no_token(data: bytes) -> None:
    """A file that is no token ends in a traceback."""
    with pytest.raises(TokenUnreadable):
        tokens.unverified(tokens.normal(data.decode("latin-1")))


def test_keys_of_another_algorithm_work_alike() -> None:
    """Users with a secp256r1 key have no commands."""
    key = PrivateKey("secp256r1-private/" + "17" * 32)
    token = tokens.mint(key, "a", NOW + DAY, ["check if true"])
    policy.check(tokens.verified(token.to_base64(), [keys.public_of(key)]), "a")
