"""Numbers out of an element's fields, as onext.oned.elements yields them."""

from __future__ import annotations

from collections.abc import Mapping

from onext import bounds
from onext.oned.elements import text

LARGEST_ID = (1 << 32) - 1
Fields = Mapping[bytes, bytes]


def number(fields: Fields, key: bytes, default: int | None = None) -> int:
    """Return the id or state in a field; raise ValueError where it is none and there is no default."""
    found = bounds.whole(text(fields.get(key, b"")), -1, LARGEST_ID)
    if found is not None:
        return found
    if default is None:
        raise ValueError(f"{key.decode()} is {bounds.words(text(fields.get(key, b'')), 40)!r}, not a number")
    return default
