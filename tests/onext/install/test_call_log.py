"""The line of oned.conf for audit events."""

from __future__ import annotations

import re

import pytest

from onext.install import call_log

STOCK = '#LOG_CALL_FORMAT    = "Req:%i UID:%u IP:%A %m invoked %l20"\nPORT = 2633\n'


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (STOCK, "not set"),
        ('LOG_CALL_FORMAT = "Req:%i UID:%u IP:%A %m invoked %l300"\n', "parameters"),
        ('log_call_format = "Req:%i UID:%u IP:%A %m invoked %p"', "passwords"),
        ('LOG_CALL_FORMAT = "%m"\n', "not of the form"),
        ('LOG_CALL_FORMAT = "Req:%i UID:%u IP:%A %m invoked"\n', "secret word"),
        ('LOG_CALL_FORMAT = "Req:%i UID:%u IP:%A %m invoked 0123"\n', "secret word"),
        (f'LOG_CALL_FORMAT = "Req:%i UID:%u IP:%A %m invoked {"ab" * 16}"\n', "secret word"),
    ],
)
def test_what_logs_secrets_is_reported_and_replaced(text: str, reason: str) -> None:
    """Passwords of users would remain in the log, or no call would be recorded."""
    assert any(reason in problem for problem in call_log.problems(text))
    changed = call_log.add(text)
    assert call_log.problems(changed) == []
    assert call_log.add(changed) == changed
    assert call_log.remove(changed) == text + ("" if text.endswith("\n") else "\n")


def test_a_line_that_is_right_is_left_alone() -> None:
    """An administrator's own line with more in it is as good."""
    text = f'LOG_CALL_FORMAT = "Req:%i UID:%u IP:%A %m invoked {"ab" * 16} %U"\n'
    assert call_log.add(text) == text


def test_a_line_of_an_earlier_version_gets_a_word() -> None:
    """After an update users could still forge calls."""
    earlier = call_log.add(STOCK)
    plain = re.sub(r" [0-9a-f]{32} %i", "", earlier)
    changed = call_log.add(plain)
    assert call_log.problems(changed) == []
    assert changed.count("\nLOG_CALL_FORMAT") == 1
    assert call_log.remove(changed) == STOCK
    assert call_log.add(STOCK) != earlier  # each front-end has its own word
