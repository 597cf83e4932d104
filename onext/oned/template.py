r"""Templates as text: what one.*.update takes with append = 1.

`KEY="value"` merges, `KEY=[ ]` removes, a vector replaces the whole vector. The grammar is that of
OpenNebula's template_parser.l: within quotes only `\"` is an escape, so a backslash before a quote
or at the end of a value has no written form, and `]]>` ends the parser. A character beyond the basic
plane fails the whole call (Fault -503), and a carriage return comes back as a line feed.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

Value = str | int | float | Mapping[str, str | int | float] | None

_KEY = re.compile(r"[A-Z][A-Z0-9_]*\Z")
_UNWRITABLE = re.compile(
    '[\x00-\x08\x0b-\x1f\x7f\ufffe\uffff\ud800-\udfff\U00010000-\U0010ffff]|]]>|\\\\"|\\\\\\Z'
)


class UnwritableValue(ValueError):
    """A key or value has no form in OpenNebula's template syntax."""


def render(attributes: Mapping[str, Value]) -> str:
    """Return the text that merges `attributes` into a template; None removes, a mapping is a vector.

    Raises UnwritableValue, naming the key.
    """
    return "".join(f"{_key(key)}={_value(key, value)}\n" for key, value in attributes.items())


def _key(key: str) -> str:
    if not _KEY.match(key):
        raise UnwritableValue(f"{key!r} is not an attribute name: capital letters, digits and _ are allowed")
    return key


def _value(key: str, value: Value) -> str:
    if value is None:
        return "[ ]"
    if isinstance(value, Mapping):
        pairs = (f"{_key(name)}={_quote(f'{key}/{name}', item)}" for name, item in value.items())
        return f"[ {', '.join(pairs)} ]"
    return _quote(key, value)


def _quote(key: str, value: str | float) -> str:
    text = str(value)
    if bad := _UNWRITABLE.search(text):
        raise UnwritableValue(f"the value of {key} holds {bad.group()!r}, which no template can")
    return '"' + text.replace('"', '\\"') + '"'
