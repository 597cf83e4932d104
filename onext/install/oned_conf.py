"""The lines of oned.conf that the biscuit driver needs: text in, text out.

Everything else of the text stays byte for byte; marks in the text itself show onext's lines, so that `remove`
restores what `add` got. This module opens no file and asks no question.

The grammar is that of oned's parser (src/parsers of OpenNebula): `NAME = value` and `NAME = [ PART =
value, … ]`, names in any case, values quoted or without white space, comments from `#` to the line's end.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator
from dataclasses import dataclass

DRIVER = "biscuit"
# MAX_TOKEN_TIME: without 0 a user mints an oned login token that never expires and bypasses the driver.
WANTED = {
    "NAME": DRIVER,
    "PASSWORD_CHANGE": "NO",
    "DRIVER_MANAGED_GROUPS": "NO",
    "DRIVER_MANAGED_GROUP_ADMIN": "NO",
    "MAX_TOKEN_TIME": "0",
}

_AUTHN_MARK = "# onext: biscuit was added to AUTHN, install.sh --uninstall takes it out\n"
_BEGIN, _END = "\n# onext: begin biscuit\n", "# onext: end biscuit\n"
_ENTRY = (
    "AUTH_MAD_CONF = [\n" + ",\n".join(f'    {key} = "{value}"' for key, value in WANTED.items()) + "\n]\n"
)
_OFF, _OFF_LAST = "#onext# ", "#onext-last# "

_SKIP = re.compile(r"(?:\s+|#[^\n]*)*")
_NAME = re.compile(r"([A-Za-z0-9_]+)[ \t]*=[ \t]*")
_VALUE = re.compile(r'"(?:\\"|[^"])*"|[^=#\s,\[\]]+')


class OnedConfError(Exception):
    """The text is not what oned reads, or has a shape that only a person should change."""


@dataclass(frozen=True)
class Attribute:
    """One attribute and its position: the whole of it, and its value with the quotes."""

    name: str
    start: int
    end: int
    value: slice
    parts: tuple[Attribute, ...] | None = None

    def part(self, name: str) -> Attribute | None:
        """Return a part of a vector; of a repeated one the first, as oned does."""
        return next((part for part in self.parts or () if part.name == name), None)


def attributes(text: str) -> list[Attribute]:
    """Return all attributes of an oned.conf in order; raise OnedConfError with the line."""
    return list(_attributes(text))


def problems(text: str) -> list[str]:
    """Return what is missing or wrong for biscuit users, in words; nothing when all is well."""
    found = []
    authn = _authn(text)
    if authn is not None and DRIVER not in _items(text, authn):
        found.append(f"{DRIVER} is not in AUTHN of AUTH_MAD: its users cannot log in")
    entries = _entries(text)
    if not entries:
        found.append(f"no AUTH_MAD_CONF entry for {DRIVER}: users can mint login tokens that never expire")
    for entry in entries:
        found += [f"{wrong} of the AUTH_MAD_CONF entry for {DRIVER}" for wrong in _wrong(text, entry)]
    return found


def add(text: str) -> str:
    """Return the text with biscuit in AUTHN and the right AUTH_MAD_CONF entry; unchanged when all is well."""
    return _add_to_authn(_add_entry(text))


def remove(text: str) -> str:
    """Return the text as `add` got it; what an administrator wrote himself stays."""
    if _AUTHN_MARK in text:
        authn = _authn(text)
        if authn is not None:
            items = [item for item in _quoted(text, authn).split(",") if item.strip() != DRIVER]
            text = _replace(text, authn.value, f'"{",".join(items)}"')
        text = text.replace(_AUTHN_MARK, "", 1)
    if _BEGIN in text and _END in text:
        start, end = text.index(_BEGIN), text.index(_END) + len(_END)
        text = text[:start] + text[end:]
        text = re.sub(rf"(?m)^{_OFF}", "", text)
        text = re.sub(rf"(?m)^{_OFF_LAST}(.*)\n\Z", r"\1", text)
    return text


def diff(before: str, after: str, name: str) -> str:
    """Return what changes, in the form of `diff -u`; empty when nothing does."""
    lines = difflib.unified_diff(
        before.splitlines(keepends=True), after.splitlines(keepends=True), name, f"{name} (new)"
    )
    return "".join(line if line.endswith("\n") else f"{line}\n" for line in lines)


def _add_to_authn(text: str) -> str:
    authn = _authn(text)
    if authn is None or DRIVER in _items(text, authn):
        return text
    text = _replace(text, authn.value, f'"{_quoted(text, authn)},{DRIVER}"')
    return _replace(text, slice(_auth_mad(text).start, _auth_mad(text).start), _AUTHN_MARK)


def _add_entry(text: str) -> str:
    entries = _entries(text)
    match entries:
        case [only] if not _wrong(text, only):
            return text
    for entry in reversed(entries):
        text = _switch_off(text, entry)
    others = [a.end for a in attributes(text) if a.name == "AUTH_MAD_CONF"]
    position = _after(text, max([_auth_mad(text).end, *others]))
    return text[:position] + _BEGIN + _ENTRY + _END + text[position:]


def _after(text: str, end: int) -> int:
    """Return the start of the next line, or the end of the text where another attribute shares the line."""
    newline = text.find("\n", end) + 1
    return newline if newline and _SKIP.fullmatch(text[end:newline]) else len(text)


def _switch_off(text: str, entry: Attribute) -> str:
    start = text.rfind("\n", 0, entry.start) + 1
    end = text.find("\n", entry.end)
    end = len(text) if end < 0 else end + 1
    if text[start : entry.start].strip() or not _SKIP.fullmatch(text[entry.end : end]):
        raise OnedConfError(f"line {_line(text, entry.start)}: put this AUTH_MAD_CONF on separate lines")
    lines = text[start:end].splitlines(keepends=True)
    if not lines[-1].endswith("\n"):
        lines[-1] = lines[-1] + "\n"
        return text[:start] + "".join(_OFF + line for line in lines[:-1]) + _OFF_LAST + lines[-1]
    return text[:start] + "".join(_OFF + line for line in lines) + text[end:]


def _auth_mad(text: str) -> Attribute:
    for attribute in attributes(text):
        if attribute.name == "AUTH_MAD" and attribute.parts is not None:
            return attribute
    raise OnedConfError('no AUTH_MAD = [ EXECUTABLE = "one_auth_mad", AUTHN = "…" ] in it')


def _authn(text: str) -> Attribute | None:
    """Return AUTHN, or None when it is empty or absent: then oned takes every driver that is installed."""
    authn = _auth_mad(text).part("AUTHN")
    return authn if authn is not None and _text(text, authn) else None


def _items(text: str, authn: Attribute) -> list[str]:
    return [item.strip() for item in (_text(text, authn) or "").split(",")]


def _entries(text: str) -> list[Attribute]:
    confs = (a for a in attributes(text) if a.name == "AUTH_MAD_CONF")
    return [conf for conf in confs if _text(text, conf.part("NAME")) == DRIVER]


def _wrong(text: str, entry: Attribute) -> list[str]:
    found = {key: _text(text, entry.part(key)) for key in WANTED}
    return [f'{key} is {found[key]}, not "{value}",' for key, value in WANTED.items() if found[key] != value]


def _text(text: str, attribute: Attribute | None) -> str | None:
    if attribute is None:
        return None
    value = text[attribute.value]
    return value[1:-1] if value.startswith('"') else value


def _quoted(text: str, attribute: Attribute) -> str:
    value = text[attribute.value]
    if not value.startswith('"'):
        raise OnedConfError(
            f"line {_line(text, attribute.start)}: put the value of {attribute.name} in quotes"
        )
    return value[1:-1]


def _replace(text: str, where: slice, new: str) -> str:
    return text[: where.start] + new + text[where.stop :]


def _line(text: str, position: int) -> int:
    return text.count("\n", 0, position) + 1


def _skip(text: str, position: int) -> int:
    match = _SKIP.match(text, position)
    return match.end() if match else position


def _attributes(text: str) -> Iterator[Attribute]:
    position = _skip(text, 0)
    while position < len(text):
        attribute = _attribute(text, position)
        yield attribute
        position = _skip(text, attribute.end)


def _attribute(text: str, position: int) -> Attribute:
    name = _NAME.match(text, position)
    if not name:
        raise OnedConfError(f"line {_line(text, position)}: NAME = value is expected")
    upper, start = name[1].upper(), name.end()
    if text.startswith("[", start):
        return _vector(text, upper, position, start)
    value = _VALUE.match(text, start)
    if value:
        return Attribute(upper, position, value.end(), slice(start, value.end()))
    if start == len(text) or text[start] == "\n":
        return Attribute(upper, position, start, slice(start, start))
    raise OnedConfError(f"line {_line(text, position)}: {name[1]} has no value that oned reads")


def _vector(text: str, name: str, start: int, bracket: int) -> Attribute:
    parts: list[Attribute] = []
    position = _skip(text, bracket + 1)
    while not text.startswith("]", position):
        parts.append(_attribute(text, position))
        position = _skip(text, parts[-1].end)
        if text.startswith(",", position):
            position = _skip(text, position + 1)
        elif not text.startswith("]", position):
            raise OnedConfError(f"line {_line(text, position)}: a comma or ] is expected in {name}")
    return Attribute(name, start, position + 1, slice(bracket, position + 1), tuple(parts))
