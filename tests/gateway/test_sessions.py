"""Logins of the page: they end when they should, and one user's end nobody else's."""

from __future__ import annotations

import pytest

from gateway import sessions as module
from gateway.credentials import Credential
from gateway.sessions import Sessions, same

ALICE = Credential("alice", "a")


class Clock:
    """A clock that the test sets."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """Return the clock of the logins."""
    made = Clock()
    monkeypatch.setattr(module, "time", made)
    return made


def test_a_login_ends_after_its_hours_and_when_it_is_idle(clock: Clock) -> None:
    """A browser that is left open would be a login for ever."""
    sessions = Sessions(2.0)
    name = sessions.begin(ALICE)
    for _ in range(2):
        clock.now += 3600.0
        found = sessions.get(name)
        assert found is not None
        assert found.credential == ALICE
    clock.now += 0.1
    assert sessions.get(name) is None, "two hours after it began"
    idle = sessions.begin(ALICE)
    clock.now += 3600.1
    assert sessions.get(idle) is None
    clock.now -= 3600.1
    assert sessions.get(idle) is None, "it does not come back"


def test_a_cookie_that_is_none() -> None:
    """A request without a cookie must not belong to a user."""
    sessions = Sessions(8.0)
    name = sessions.begin(ALICE)
    for other in (None, "", name + "x", name[:-1]):
        assert sessions.get(other) is None
        sessions.end(other)
    assert sessions.get(name) is not None
    sessions.end(name)
    assert sessions.get(name) is None
    sessions.end(name)


def test_cookies_and_form_tokens_cannot_be_guessed() -> None:
    """Whoever guesses one is that user."""
    sessions = Sessions(8.0)
    names = [sessions.begin(Credential(str(n), "x")) for n in range(50)]
    tokens = [found.csrf for name in names if (found := sessions.get(name))]
    assert len({*names, *tokens}) == 100
    assert min(map(len, names)) >= 43
    assert min(map(len, tokens)) >= 32


def test_one_user_does_not_end_the_logins_of_others() -> None:
    """A tenant who logs in a thousand times would log everybody out."""
    sessions = Sessions(8.0)
    other = sessions.begin(Credential("alice", "a"))
    mine = [sessions.begin(Credential("mallory", "m")) for _ in range(2000)]
    assert sessions.get(other) is not None
    assert [sessions.get(name) is not None for name in mine[-33:]] == [False, *[True] * 32]


def test_of_a_user_and_of_all_the_login_that_was_used_longest_ago_ends() -> None:
    """The memory has a bound, and who works with a page keeps it."""
    sessions = Sessions(8.0)
    mine = [sessions.begin(ALICE) for _ in range(32)]
    assert sessions.get(mine[0]) is not None
    sessions.begin(ALICE)
    assert sessions.get(mine[0]) is not None
    assert sessions.get(mine[1]) is None
    all_users = Sessions(8.0)
    names = [all_users.begin(Credential(f"user-{n}", "x")) for n in range(1000)]
    assert all_users.get(names[0]) is not None
    all_users.begin(ALICE)
    assert [all_users.get(name) is not None for name in names[:3]] == [True, False, True]


def test_an_empty_token_is_the_same_as_none() -> None:
    """A form without a token would pass where a session has none."""
    assert same("a", "a")
    assert not same("a", "b")
    assert not same("", "")
    assert not same("a", "\u00e4")
