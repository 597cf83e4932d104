"""Releases of OpenNebula, as oned states them."""

from __future__ import annotations

import re

_NUMBERS = re.compile(r"\s*(\d{1,4})\.(\d{1,4})")


def older(version: str, since: tuple[int, int]) -> bool:
    """Return whether a version such as `7.0.2` is older than a release; False where it is not a number."""
    found = _NUMBERS.match(version)
    return found is not None and (int(found[1]), int(found[2])) < since


def lack(version: str, since: tuple[int, int], what: str, without: str) -> str:
    """Return the line that tells people what their release lacks."""
    return f"{what} needs OpenNebula {since[0]}.{since[1]}, this is {version.strip()[:20]}: {without}"
