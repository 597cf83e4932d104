"""A time in the past as people write it: 30d, 12h, 2w, 2026-11-01, or a bare number of days."""

from __future__ import annotations

import datetime as dt
import re
import time

import click

UNITS = {"h": 3600.0, "d": 86_400.0, "w": 7 * 86_400.0, "": 86_400.0}
_SPAN = re.compile(r"(\d{1,5}(?:\.\d+)?)\s*([hdw]?)", re.IGNORECASE | re.ASCII)


def seconds(_context: click.Context, _option: click.Parameter, text: str | None) -> float | None:
    """Return the seconds from then to now, None where nothing was given; raise BadParameter."""
    if text is None:
        return None
    found = _SPAN.fullmatch(text.strip())
    passed = float(found[1]) * UNITS[found[2].lower()] if found else time.time() - _date(text)
    if passed <= 0:
        raise click.BadParameter(f"{text!r} is not in the past")
    return passed


def _date(text: str) -> float:
    """Read a date or a time of ISO 8601, local where it names no zone."""
    try:
        return dt.datetime.fromisoformat(text.strip()).timestamp()
    except ValueError:
        raise click.BadParameter(f"{text!r} is not a time such as 30d, 12h, 2w or 2026-11-01") from None
