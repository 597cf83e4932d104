"""Reading members of Redfish objects that a BMC may leave out, set to null, or send with another type."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

Object = Mapping[str, Any]


def member(found: Object, *keys: str) -> Object:
    """Return an object inside of objects, an empty one where any of them is not an object."""
    value: Any = found
    for key in keys:
        value = value.get(key) if isinstance(value, dict) else None
    return value if isinstance(value, dict) else {}


def text(found: Object, key: str) -> str:
    """Return a text member, empty where it is not a text."""
    value = found.get(key)
    return value if isinstance(value, str) else ""


def items(found: Object, key: str) -> list[Object]:
    """Return the objects in a list member."""
    values = found.get(key)
    return [one for one in values if isinstance(one, dict)] if isinstance(values, list) else []


def links(references: list[Object]) -> Iterator[str]:
    """Yield the links of references."""
    for one in references:
        if link := text(one, "@odata.id"):
            yield link
