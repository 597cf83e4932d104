"""What a client sends as its credential: read as one user's, or refused."""

from __future__ import annotations

import base64

import pytest

from gateway.credentials import LONGEST, Credential, of_header, of_session
from gateway.refusals import Unauthorised

ALICE = Credential("alice", "pass:word")


def encoded(text: str) -> str:
    """Return a text in base64."""
    return base64.b64encode(text.encode()).decode()


@pytest.mark.parametrize(
    "header",
    [
        f"Basic {encoded('alice:pass:word')}", f"basic  {encoded('alice:pass:word')} ", f"BASIC {encoded('alice:pass:word')}",
        "Bearer alice:pass:word", f"Bearer {encoded('alice:pass:word')}", f"bearer {encoded('alice:pass:word').rstrip('=')}",
    ],
)  # fmt: skip
def test_a_header_is_read(header: str) -> None:
    """Programs write it in either way; a password has colons."""
    assert of_header(header) == ALICE


def test_base64_of_web_addresses_is_read() -> None:
    """A token in base64 for addresses has dashes and underscores."""
    secret = "\u00bf\u00bf\u00bf\u00be\u00be?>"
    text = base64.urlsafe_b64encode(f"al:{secret}".encode()).decode()
    assert {"-", "_"} & {*text}
    assert of_header(f"Bearer {text}") == Credential("al", secret)


@pytest.mark.parametrize(
    "header",
    [
        "", "Basic", "Basic ", "Digest alice:x", "Basic alice:x", f"Basic {encoded('alice')}", "Basic !!!!", "Bearer x",
        f"Basic {encoded(':x')}", f"Basic {encoded('alice:')}", "Basic /w==", f"Negotiate {encoded('alice:x')}", "Bearer a b:x",
        "Bearer alice:\x07", "Basic " + encoded("a\tb:x"), "Basic " + encoded("alice:x\n"),
    ],
)  # fmt: skip
def test_what_is_no_credential(header: str) -> None:
    """A line end in a name would be a second line of the log; a name alone would be asked of oned."""
    with pytest.raises(Unauthorised):
        of_header(header)


def test_base64_of_any_length_is_read_whole() -> None:
    """Programs leave its padding out; what a decoder skips would be another password to a proxy."""
    for length in range(1, 30):
        credential = Credential("alice", "x" * length)
        assert of_header("Bearer " + encoded(credential.session).rstrip("=")) == credential
    for text in ("!", "%", "\u00e4"):
        with pytest.raises(Unauthorised, match="base64"):
            of_header(f"Basic {text}" + encoded("alice:pass"))


def test_a_credential_has_a_length() -> None:
    """A stranger would send a megabyte of it to oned, again and again."""
    assert LONGEST == 24_576, "the largest token, with a name, in base64"
    assert of_session("a:" + "x" * (LONGEST - 2)).user == "a"
    with pytest.raises(Unauthorised):
        of_session("a:" + "x" * (LONGEST - 1))
    most = LONGEST - len("Bearer a:")
    assert of_header("Bearer a:" + "x" * most).user == "a"
    with pytest.raises(Unauthorised, match="authenticate"):
        of_header("Bearer  a:" + "x" * most)


def test_a_secret_is_shown_nowhere() -> None:
    """A password in a log is everybody's; two credentials must not have one digest."""
    assert "pass:word" not in repr(ALICE)
    assert ALICE.session == "alice:pass:word"
    assert b"pass" not in ALICE.digest
    assert len(ALICE.digest) == 32
    assert ALICE.digest == Credential("alice", "pass:word").digest != Credential("alice", "x").digest
