"""Passwords: only a known user with the right one may ask, and the time that it takes tells nothing."""

from __future__ import annotations

import base64

import bcrypt
import pytest

from exporter.login import Users
from onext.webconfig import cost


def header(user: str, password: str) -> str:
    """Return the value of an Authorization header."""
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


def hashed(password: str, rounds: int) -> str:
    """Return a bcrypt hash."""
    return bcrypt.hashpw(password.encode(), bcrypt.gensalt(rounds)).decode()


@pytest.mark.parametrize(
    "text", [None, "", "Bearer x", "Basic", "Basic !!", "Basic /w==", "Basic YQ==", "Basic " + "A" * 9999]
)
def test_odd_headers_let_nobody_in(text: str | None) -> None:
    """Whatever is sent, only a known user and password open."""
    users = Users({"a": hashed("b", 4), "broken": "$2b$04$x"})
    assert not users.allow(text)
    assert users.allow(header("a", "b"))
    assert not users.allow(header("broken", "x"))
    assert Users({}).allow(text)


def test_no_header_is_no_login() -> None:
    """A user without a name and password must not open the exporter to whoever sends nothing."""
    users = Users({"": hashed("", 4)})
    assert not users.allow(None)
    assert users.allow(header("", ""))


def test_S9_the_same_work_for_every_wrong_login(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever measures the answer's time would learn which users exist, and what their hash costs."""
    work: list[int] = []

    def check(password: bytes, against: bytes) -> bool:
        assert len(against) == 60, "bcrypt refuses any other at once, without the work"
        work.append(2 ** int(against[4:6]))
        return False

    users = Users({"cheap": hashed("x", 4), "dear": hashed("x", 7), "middle": hashed("x", 5)})
    monkeypatch.setattr(bcrypt, "checkpw", check)
    spent = []
    for user in ("cheap", "middle", "dear", "nobody", ""):
        work.clear()
        assert not users.allow(header(user, "wrong"))
        spent.append(sum(work))
    assert spent == [2**7] * 5


def test_a_right_password_is_hashed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Prometheus asks every few seconds: 100 ms of hashing each time would be most of a small scrape."""
    users = Users({"a": hashed("b", 4)})
    assert users.allow(header("a", "b"))
    monkeypatch.setattr(bcrypt, "checkpw", lambda *_: pytest.fail("hashed again"))
    assert users.allow(header("a", "b"))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("$2y$10$" + "a" * 53, 10),
        ("$2b$04$" + "a" * 53, 4),
        ("$2b$03$" + "a" * 53, None),
        ("$2b$31$" + "a" * 53, None),  # a check would take months
        ("$2y$10$" + "a" * 52, None),
        ("$2y$10$" + "a" * 53 + "\n", None),
        ("$2x$10$" + "a" * 53, None),
        ("plain", None),
    ],
)
def test_what_is_a_hash(text: str, expected: int | None) -> None:
    """A hash that can never match would keep its user out without a message."""
    assert cost(text) == expected


def test_S9_the_same_work_where_no_hash_is_usable(monkeypatch: pytest.MonkeyPatch) -> None:
    """An exporter whose only hash is misspelt would answer at once, and tell so."""
    work: list[int] = []
    monkeypatch.setattr(bcrypt, "checkpw", lambda _, against: work.append(int(against[4:6])))
    assert not Users({"broken": "plain"}).allow(header("broken", "x"))
    assert work == [10]


def test_a_long_password_counts_with_its_first_72_bytes() -> None:
    """The hash was made of them; a shorter one is another password."""
    users = Users({"a": hashed("x" * 72, 4)})
    assert users.allow(header("a", "x" * 72 + "y" * 9))
    assert not users.allow(header("a", "x" * 71))


def test_what_bcrypt_cannot_check_is_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    """A hash that the library refuses must open to nobody."""

    def refuse(*_: object) -> bool:
        raise ValueError("Invalid salt")

    users = Users({"a": hashed("b", 4)})
    monkeypatch.setattr(bcrypt, "checkpw", refuse)
    assert not users.allow(header("a", "b"))


@pytest.mark.parametrize("place", [6, 8])
def test_a_header_with_other_characters_in_it_is_none(place: int) -> None:
    """Another server before this one may read the header otherwise than we do."""
    good = header("a", "b")
    assert not Users({"a": hashed("b", 4)}).allow(good[:place] + "*" + good[place:])
