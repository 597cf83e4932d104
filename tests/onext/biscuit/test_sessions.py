"""What outlives a token, and ending what can be ended."""

from __future__ import annotations

from datetime import datetime, timezone
from pathlib import Path

import pytest

from onext.biscuit import sessions
from onext.biscuit.errors import BiscuitError

from .front_end import played, user

NOW = datetime(2026, 11, 21, 12, 0, tzinfo=timezone.utc)


def test_ends_by_disabling_and_enabling() -> None:
    """Oned's cache lets a revoked token in for a quarter of an hour."""
    oned = played()
    sessions.end(oned.oned, "dann1")
    assert oned.calls == [("user.enable", 7, False), ("user.enable", 7, True)]


def test_a_disabled_user_stays_disabled() -> None:
    """Revoking a token lets a user in again whom somebody had shut out."""
    oned = played(user("shut", enabled="0"))
    sessions.end(oned.oned, "shut")
    assert oned.calls == []


def test_says_when_a_user_could_not_be_enabled_again() -> None:
    """A user stays locked out and nobody knows why."""
    oned = played()
    oned.failing = frozenset({("user.enable", 7, True)})
    with pytest.raises(
        BiscuitError, match="dann1 was disabled and could not be enabled again: run `oneuser enable dann1`"
    ):
        sessions.end(oned.oned, "dann1")


def test_users_of_other_drivers_are_left_alone() -> None:
    """A token that states oneadmin, given to the administrator, disables oneadmin."""
    oned = played(user("oneadmin", driver="core"))
    with pytest.raises(BiscuitError, match="oneadmin is not a biscuit user"):
        sessions.end(oned.oned, "oneadmin")
    assert oned.calls == []


def test_an_unknown_user() -> None:
    """A slip of the pen disables nobody and says nothing."""
    with pytest.raises(BiscuitError, match="user dan: not found; there are: 7 dann1"):
        sessions.end(played().oned, "dan")


def test_until_when(tmp_path: Path) -> None:
    """The times are not those of this front-end."""
    fireedge = tmp_path / "fireedge-server.conf"
    assert sessions.sunstone_minutes(fireedge) == sessions.SUNSTONE_MINUTES
    fireedge.write_text("# session_expiration: 1\nsession_expiration: 30\nsession_remember_expiration: 60\n")
    rows = list(sessions.left("u", NOW, 600, fireedge, ended=False, others=True))
    assert [row["until"] for row in rows[:3]] == [
        "2026-11-21 12:10:00 UTC",
        "2026-11-21 12:10:00 UTC",
        "2026-11-21 12:30:00 UTC or, remembered, 2026-11-21 13:00:00 UTC",
    ]
    assert "others" not in {
        row["session"] for row in sessions.left("u", NOW, 0, fireedge, ended=True, others=False)
    }
    assert sessions.cache_seconds(played().document("system.config")) == 600
