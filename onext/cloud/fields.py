"""Parts of one element of oned's XML, in plain form (see onext.oned.elements): numbers, words, templates."""

from __future__ import annotations

import re
from collections.abc import Mapping
from sys import intern

from onext import bounds
from onext.cloud.model import Attribute, Template
from onext.oned.elements import children, text

Fields = Mapping[bytes, bytes]

LONGEST = 1 << 16  # characters of one value; a longer one is cut, and no reader of it takes that length
MOST_ATTRIBUTES = 2000  # attributes of one template
_IDS = re.compile(rb"<ID>(\d{1,10})</ID>")
_CDATA = b"<![CDATA["
_LARGE = 2**62


class Unreadable(ValueError):
    """A value that decides about an object is missing or not as oned writes it."""


def read_template(content: bytes, without: frozenset[bytes] = frozenset()) -> Template:
    """Return a template without some attributes; of repeated ones the last. Raise Unreadable for too many."""
    found: dict[str, Attribute] = {}
    for number, (tag, value) in enumerate(children(content)):
        if number > MOST_ATTRIBUTES:
            raise Unreadable(f"more than {MOST_ATTRIBUTES} attributes in its template")
        if tag not in without:
            found[attribute_name(tag)] = read_attribute(value)
    return found


def read_attribute(content: bytes) -> Attribute:
    """Return a text, or the parts of a vector."""
    if is_text(content):
        return text(content)[:LONGEST]
    return {attribute_name(tag): text(value)[:LONGEST] for tag, value in children(content)}


def read_vector(content: bytes) -> Fields:
    """Return the parts of a vector; one that its owner wrote as text has none."""
    return {} if is_text(content) else dict(children(content))


def vector_parts(content: bytes) -> list[bytes]:
    """Return every part of a vector, also of one name; of a scalar its text."""
    return [content] if is_text(content) else [value for _, value in children(content)]


def is_text(content: bytes) -> bool:
    """Return whether a content has no elements in it."""
    return b"<" not in content or content.startswith(_CDATA)


def read_fields(element: bytes) -> dict[bytes, bytes]:
    """Return the content of each child of an element; of a repeated one the last."""
    start, end = element.find(b">") + 1, element.rfind(b"</")
    return dict(children(element[start:end]))


def attribute_name(tag: bytes) -> str:
    """Return a tag as text, kept once in memory."""
    return intern(tag.decode("utf-8", "replace"))


def required(fields: Fields, key: bytes) -> int:
    """Return a whole number that must be there."""
    found = bounds.whole(text(fields.get(key, b"")), -1, _LARGE)
    if found is None:
        raise Unreadable(f"{key.decode()} is {bounds.words(text(fields.get(key, b'')), 40)!r}, not a number")
    return found


def optional(fields: Fields, key: bytes, default: int) -> int:
    """Return a whole number, `default` where there is none."""
    found = bounds.whole(text(fields.get(key, b"")), -1, _LARGE)
    return default if found is None else found


def word(parts: Fields, key: bytes) -> str:
    """Return at most 256 characters of a text."""
    return text(parts.get(key, b"")).strip()[:256]


def ids(fields: Fields, key: bytes) -> frozenset[int]:
    """Return the numbers of a list of `<ID>`."""
    return frozenset(int(found) for found in _IDS.findall(fields.get(key, b"")))
