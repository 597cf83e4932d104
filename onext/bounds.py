"""Bounded reading of text that others write: templates, pages, payloads, answers, files.

Each function returns None (or a cut text) instead of raising, because one invalid value never stops the rest.
"""

from __future__ import annotations

import math
import re

_NUMBER = re.compile(r"[+-]?(?:\d{1,18}(?:\.\d{0,24})?|\.\d{1,24})(?:[eE][+-]?\d{1,3})?", re.ASCII)
_WHOLE = re.compile(r"[+-]?\d{1,18}", re.ASCII)


def number(text: str | None, low: float, high: float) -> float | None:
    """Return the finite decimal number that the whole text is, None unless it is within [low, high]."""
    stripped = (text or "").strip()
    if len(stripped) > 48 or not _NUMBER.fullmatch(stripped):
        return None
    value = float(stripped)
    return value if math.isfinite(value) and low <= value <= high else None


def whole(text: str | None, low: int, high: int) -> int | None:
    """Return the decimal integer that the whole text is, None unless it is within [low, high]."""
    stripped = (text or "").strip()
    if not _WHOLE.fullmatch(stripped):
        return None
    value = int(stripped)
    return value if low <= value <= high else None


def words(text: str | None, longest: int) -> str:
    """Return at most `longest` characters of a text on one line, with "?" for what is not printable."""
    if text is not None and len(text) <= longest and text.isprintable():
        return text  # nearly always, and for every name in every pass
    cut = (text or "")[: longest + 1]
    clean = "".join(char if char.isprintable() else "?" for char in cut)
    return clean if len(clean) <= longest else clean[: longest - 1] + "…"


def depth(text: str, most: int, opening: str = "(", closing: str = ")") -> bool:
    """Return whether brackets in the text nest at most `most` deep; one pass, whatever the text is."""
    level = 0
    for char in text:
        if char in opening:
            level += 1
            if level > most:
                return False
        elif char in closing:
            level -= 1
    return True
