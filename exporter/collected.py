"""What a collector returns, and the values that it reads: bounded, None for what is missing or unreadable."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from exporter.exposition import Samples, escape
from onext.oned.elements import text

_DIGITS = 18  # of a whole number: below 2^63
_LABEL = 256  # characters; oned's own names have at most 128
_PLAIN = re.compile(rb"[A-Za-z0-9_.@-]{0,256}")  # is its own label


@dataclass
class Collected:
    """Samples, how many objects could not be read whole, and what a collector has for others.

    `places` is for power: the names of hosts that are on, or the host of each VM.
    """

    samples: Samples = field(default_factory=Samples)
    errors: int = 0
    places: Mapping[int, Any] = field(default_factory=dict)


def whole(raw: bytes, factor: int = 1) -> int | None:
    """Return the unsigned whole number that `raw` is, times `factor`; None when it is not one."""
    return int(raw) * factor if raw.isdigit() and len(raw) <= _DIGITS else None


def number(raw: bytes) -> float | None:
    """Return the finite number that `raw` is, None when it is not one."""
    try:
        value = float(raw) if len(raw) <= 32 else math.nan
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def plain(raw: bytes) -> bytes:
    """Return an element's content without CDATA, white space around it removed."""
    return text(raw).strip().encode("utf-8", "replace") if raw else raw


def label(raw: bytes) -> bytes:
    """Return a label's value from an element's content, cut to a bound and escaped."""
    if _PLAIN.fullmatch(raw):
        return raw
    return escape(text(raw)[:_LABEL]).encode("utf-8", "replace")
