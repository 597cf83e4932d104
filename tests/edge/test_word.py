"""The join token's form: read as a whole, or refused."""

from __future__ import annotations

import base64
import json

import pytest
from biscuit_auth import AuthorizationError, AuthorizerBuilder, Biscuit, BiscuitBuilder, KeyPair

from edge import word
from edge.errors import InvalidToken
from tests.edge.test_narrowing import patient

PAIR, DIGEST, KEY = KeyPair(), "a" * 64, "b" * 64
BISCUIT = BiscuitBuilder("edge_token(7)").build(PAIR.private_key).to_base64()


def token(servers: object = (("front.example:8443", DIGEST),), key: object = KEY, more: str = "") -> str:
    """Return a token; `more` makes its text longer."""
    body = json.dumps({"servers": servers, "key": key, "more": more}).encode()
    return f"onext-edge:{base64.urlsafe_b64encode(body).decode().rstrip('=')}:{BISCUIT}"


def test_a_token_names_where_to_go_and_whom_to_trust() -> None:
    """A node that goes elsewhere gives its token to a stranger."""
    expected = word.Word((word.Server("front.example", 8443, DIGEST),), KEY, BISCUIT)
    for length in range(30):  # base64 ends in each way
        assert word.read(f" {token(more='x' * length)}\n") == expected


@pytest.mark.parametrize(
    "text",
    [
        "", "x", token() + ":", token().replace("onext-edge", "onext"), token()[11:], token(servers=[]),
        token(key="x"), token(key=None), token(servers={}), token(servers=[["a:1"]]), token(servers=[["a:1", "x"]]),
        "onext-edge::x", "onext-edge:W10:x", "onext-edge:e30:x",
    ],
)  # fmt: skip
def test_what_is_no_token(text: str) -> None:
    """A token copied without its end must not print a traceback to an installer."""
    with pytest.raises(InvalidToken, match="join token"):
        word.read(text)


def test_a_token_has_a_length() -> None:
    """An input without an end must not fill the memory."""
    spare = (word.LONGEST - len(token())) * 3 // 4
    longest = token(more="x" * spare)
    longest += " " * (word.LONGEST - len(longest))
    assert word.read(longest).key == KEY
    with pytest.raises(InvalidToken, match="not a join token"):
        word.read(longest + " ")
    for count, accepted in ((1, True), (32, True), (33, False)):
        servers = [["a:1", DIGEST]] * count
        if accepted:
            assert len(word.servers(servers)) == count
        else:
            with pytest.raises(ValueError, match="no list"):
                word.servers(servers)


@pytest.mark.parametrize(
    ("where", "host", "port"),
    [
        ("front.example:1", "front.example", 1), ("a:65535", "a", 65535), ("192.0.2.1:22", "192.0.2.1", 22),
        ("[2001:db8::1]:8443", "2001:db8::1", 8443), ("a:00001", "a", 1), (f"{'a.' * 126}a:1", f"{'a.' * 126}a", 1), ("a.b.:1", "a.b.", 1),
    ],
)  # fmt: skip
def test_where_a_server_is(where: str, host: str, port: int) -> None:
    """A node that cannot read its front-end's address cannot join."""
    assert word.split(where) == (host, port)


@pytest.mark.parametrize(
    "where",
    ["a", ":1", "a:", "a:0", "a:65536", "a:100000", "a:-1", "a:x", "a b:1", "a:1\n", "-a:1", "[]:1", "a\n:1", "",
     f"{'a' * 254}:1", "[2001:db8::1:1", "2001:db8::1]:1", "a:\u0661", "a..b:1", f"{'a' * 64}.b:1"],
)  # fmt: skip
def test_what_is_no_place(where: str) -> None:
    """It becomes a line of a file and a command's argument."""
    with pytest.raises(ValueError, match="not"):
        word.split(where)


def test_a_narrowed_token_is_for_one_name() -> None:
    """An installer who hands a token on for one host would hand on all hosts."""
    narrow = word.narrowed(f" {token()} ", "edge-7")
    assert word.read(narrow)[:2] == word.read(token())[:2]
    biscuit = Biscuit.from_base64(word.read(narrow).biscuit, PAIR.public_key)
    for name, accepted in (("edge-7", True), ("edge-8", False)):
        builder = AuthorizerBuilder("allow if edge_token(7); name({n})", {"n": name})
        patient(builder)
        if accepted:
            builder.build(biscuit).authorize()
        else:
            with pytest.raises(AuthorizationError):
                builder.build(biscuit).authorize()
