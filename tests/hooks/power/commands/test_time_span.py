"""Times in the past, as people write them."""

import time
from typing import cast

import click
import pytest

from hooks.power.commands.time_span import seconds

NOTHING = cast("click.Context", None)


def passed(text: str | None) -> float | None:
    return seconds(NOTHING, cast("click.Parameter", None), text)


@pytest.mark.parametrize(
    ("text", "hours"), [("30d", 720), ("12h", 12), ("2w", 336), ("30", 720), (" 1.5 D ", 36)]
)
def test_spans(text: str, hours: float) -> None:
    """A report over another time than was asked for."""
    assert passed(text) == hours * 3600


def test_dates(monkeypatch: pytest.MonkeyPatch) -> None:
    """`--since 2026-11-01` is the beginning of that day, where the administrator is."""
    monkeypatch.setattr(time, "time", lambda: 1_793_491_200.0 + 3 * 86_400)  # 2026-11-01 00:00 UTC
    assert passed("2026-11-01") == 3 * 86_400
    assert passed(None) is None


@pytest.mark.parametrize("text", ["", "yesterday", "30m", "-3d", "0d", "9999-01-01", "2026-13-01"])
def test_what_is_no_time_in_the_past_is_refused(text: str) -> None:
    """A report over nothing looks like a cluster that saved nothing."""
    with pytest.raises(click.BadParameter):
        passed(text)
