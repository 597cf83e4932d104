"""From pydantic's findings to lines an administrator can act on."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Sequence
from pathlib import Path

from pydantic import BaseModel, ValidationError
from ruamel.yaml.comments import CommentedBase


def complaints(file: Path, document: object, model: type[BaseModel], error: ValidationError) -> Iterator[str]:
    """Return one line for each finding: file, line, key, what is wrong and what was expected."""
    for found in error.errors():
        where = found["loc"]
        key = ".".join(map(str, where))
        message = found["msg"]
        if found["type"] == "extra_forbidden":
            message = f"no such key; {_meant(str(where[-1]), _fields(model, where[:-1]))}"
        elif not isinstance(found["input"], (dict, list)):
            message = f"{message} (it is {found['input']!r})"
        yield f"{file}:{_line(document, where)}: {key}: {message}"


def _line(document: object, where: Sequence[int | str]) -> int:
    """Return the line of the innermost key of `where` that stands in the document."""
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
        nested = list(_models(field.annotation)) if field else []
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
