"""From pydantic's findings to lines an administrator can act on."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from pydantic import BaseModel, ValidationError
from ruamel.yaml.comments import CommentedBase

from onext import bounds


def complaints(file: Path, document: object, model: type[BaseModel], error: ValidationError) -> Iterator[str]:
    """Return one line for each key that is wrong: file, line, key, what is wrong and what was expected."""
    seen = set()
    for found in error.errors(include_url=False, include_context=False):
        where = _keys(document, found["loc"], found["type"])
        if where in seen:
            continue  # of a key that may be one of several types, the first
        seen.add(where)
        message = found["msg"].removeprefix("Value error, ")
        if found["type"] == "extra_forbidden":
            message = f"unknown key; {_meant(str(where[-1]), _fields(model, where[:-1]))}"
        elif found["type"] in ("model_type", "model_attributes_type", "dict_type"):
            message = "keys with values were expected below it"
        elif found["type"] == "missing":
            message = "this key is required"
        elif not isinstance(found["input"], (dict, list)):
            message = f"{message} (it is {_shown(found['input'])})"
        key = ".".join(map(str, where))
        yield f"{file}:{_line(document, where)}: {f'{key}: ' if key else ''}{message}"


def _keys(document: object, where: Sequence[int | str], kind: str) -> tuple[int | str, ...]:
    """Return the keys of `where` that a person wrote: the library adds its own types' names."""
    keys: list[int | str] = []
    for number, key in enumerate(where):
        absent = number == len(where) - 1 and kind in ("missing", "extra_forbidden")
        if _holds(document, key):
            document = document[key]  # type: ignore[index]  # a mapping or a sequence
        elif not absent:
            continue
        keys.append(key)
    return tuple(keys)


def _holds(document: object, key: int | str) -> bool:
    if isinstance(document, Mapping):
        return key in document
    return isinstance(document, list) and isinstance(key, int) and key < len(document)


def _shown(value: object) -> str:
    try:
        return bounds.words(repr(value), 60)
    except ValueError:
        return "a number too long to show"


def _line(document: object, where: Sequence[int | str]) -> int:
    """Return the line of the innermost key of `where` that the document has."""
    line = 1
    for key in where:
        if not isinstance(document, CommentedBase):
            break
        try:
            line = document.lc.key(key)[0] + 1 if isinstance(key, str) else document.lc.item(key)[0] + 1
            document = document[key]  # type: ignore[index]  # a mapping or a sequence
        except (KeyError, IndexError, TypeError):
            break
    return line


def _fields(model: type[BaseModel], where: Sequence[int | str]) -> list[str]:
    """Return the keys that the section at `where` knows."""
    for key in where:
        field = model.model_fields.get(str(key))
        if field is None:
            continue  # an item of a list or mapping, whose model is known already
        nested = list(_models(field.annotation))
        if not nested:
            return []
        model = nested[0]
    return list(model.model_fields)


def _models(annotation: object) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for inner in getattr(annotation, "__args__", ()):
        yield from _models(inner)


def _meant(key: str, known: Sequence[str]) -> str:
    close = difflib.get_close_matches(key, known, 1)
    return f"did you mean {close[0]!r}?" if close else f"expected one of: {', '.join(known)}"
