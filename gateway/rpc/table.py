"""The table of calls: what each one does, and to which objects. Data are in calls.txt."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from gateway.refusals import Forbidden, Invalid

FILE = Path(__file__).with_name("calls.txt")
WHOLE = -1  # the id of a pool, and of `any`
ANY = "any"  # what the text of a template may name
_MOST_IDS = 1000
_OBJECT = re.compile(r"([a-z]+)(?:@(\d)([?*]?))?")
_WORD = re.compile(r"[a-z][a-z0-9-]{0,39}")
_IDS = re.compile(r"\d{1,9}(?:,\d{1,9})*")
Argument = int | str | bool | float | list[int]


@dataclass(frozen=True, slots=True)
class Resource:
    """One object that a call names."""

    kind: str
    id: int


@dataclass(frozen=True, slots=True)
class Call:
    """What a call does: its operation and every object that it names."""

    operation: str
    resources: tuple[Resource, ...]
    scoped: bool = True  # whether a scoped token may reach it at all


@dataclass(frozen=True, slots=True)
class _Row:
    operation: str
    objects: tuple[tuple[str, int, str], ...]  # kind, argument (-1: none), mark
    scoped: bool

    def call(self, arguments: Sequence[Argument]) -> Call:
        operation = self.operation
        if operation.endswith("*0"):
            operation = operation.removesuffix("*0") + _word(arguments)
        found = [one for kind, at, mark in self.objects for one in _resources(kind, at, mark, arguments)]
        return Call(operation, tuple(dict.fromkeys(found)), self.scoped)


def find(method: str, arguments: Sequence[Argument]) -> Call:
    """Return what a call does; raise Forbidden where the table lacks it, Invalid for wrong arguments."""
    row = rows().get(method)
    if row is None:
        raise Forbidden(f"{method[:60]} is not forwarded by the gateway")
    return row.call(arguments)


@cache
def rows() -> Mapping[str, _Row]:
    """Return every row by method."""
    lines = (line.split() for line in FILE.read_text(encoding="ascii").splitlines())
    return {words[0]: _row(words[1], words[2:]) for words in lines if words and not words[0].startswith("#")}


def _row(operation: str, words: Sequence[str]) -> _Row:
    objects = [_object(word) for word in words if word != "never"]
    return _Row(operation, tuple(objects), "never" not in words)


def _object(word: str) -> tuple[str, int, str]:
    found = _OBJECT.fullmatch(word)
    assert found is not None, word
    return found[1], WHOLE if found[2] is None else int(found[2]), found[3] or ""


def _resources(kind: str, at: int, mark: str, arguments: Sequence[Argument]) -> Iterator[Resource]:
    if at == WHOLE:
        yield Resource(kind, WHOLE)
    elif kind == "text":
        if at < len(arguments) and str(arguments[at]).strip():
            yield Resource(ANY, WHOLE)
    elif mark == "*":
        yield from (Resource(kind, number) for number in _ids(arguments, at))
    elif mark != "?" or at < len(arguments):
        number = _id(arguments, at)
        if mark != "?" or number >= 0:
            yield Resource(kind, number)


def _id(arguments: Sequence[Argument], at: int) -> int:
    value = arguments[at] if at < len(arguments) else None
    if not isinstance(value, int) or isinstance(value, bool):
        raise Invalid(f"argument {at + 1} behind the session has to be an id")
    return value


def _ids(arguments: Sequence[Argument], at: int) -> list[int]:
    text = arguments[at] if at < len(arguments) else None
    if not isinstance(text, str) or not _IDS.fullmatch(text.replace(" ", "")):
        raise Invalid(f"argument {at + 1} behind the session has to be ids with commas")
    numbers = [int(word) for word in text.replace(" ", "").split(",")]
    if len(numbers) > _MOST_IDS:
        raise Invalid(f"more than {_MOST_IDS} ids")
    return numbers


def _word(arguments: Sequence[Argument]) -> str:
    word = arguments[0] if arguments else None
    if not isinstance(word, str) or not _WORD.fullmatch(word):
        raise Invalid("the first argument behind the session has to be an action")
    return word
