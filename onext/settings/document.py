"""The settings file as it is first installed: every key, described, with its default, switched off.

A line that begins with `#:` is a description; of every other line one `#` taken away switches it on.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from io import StringIO

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from ruamel.yaml import YAML

from onext.settings import Settings
from onext.settings.section import Section

_HEAD = """\
#: onext: the administrator's settings. All keys are listed with their defaults.
#: Take the first # of a key away, and those of the keys above that it belongs to.
#: `onext doctor` names line and key of what is invalid; the worker reads changes by itself.
"""
_WIDTH = 105
_INDENT = "  "


def document() -> str:
    """Return the whole file."""
    return "\n".join([_HEAD, *_section(Settings(), "")]) + "\n"


def _section(values: BaseModel, indent: str) -> Iterator[str]:
    for name, field in type(values).model_fields.items():
        value = getattr(values, name)
        if isinstance(value, BaseModel):
            yield from _nested(name, field, value, indent)
        else:
            yield from _described(field.description or "", indent)
            yield from _key(name, value, indent)
            yield from _example(field, indent)


def _nested(name: str, field: FieldInfo, value: BaseModel, indent: str) -> Iterator[str]:
    if not indent:
        yield ""
    yield from _described(field.description or _first_line(type(value)), indent)
    yield f"#{indent}{name}:"
    yield from _section(value, indent + _INDENT)


def _example(field: FieldInfo, indent: str) -> Iterator[str]:
    """Show the keys of a section that is not set by default, or of those that a person may name."""
    for model in _models(field.annotation):
        yield from _described(f"with these keys ({_first_line(model).rstrip('.')}):", indent + _INDENT)
        for name, inner in model.model_fields.items():
            default = (
                ""
                if inner.is_required()
                else f" (default: {_inline(inner.get_default(call_default_factory=True))})"
            )
            yield from _described(f"  {name}: {inner.description or ''}{default}", indent + _INDENT)


def _key(name: str, value: object, indent: str) -> Iterator[str]:
    if not isinstance(value, Mapping) or not value:
        yield f"#{indent}{name}: {_inline(value)}"
        return
    yield f"#{indent}{name}:"
    for inner, item in value.items():
        yield f"#{indent}{_INDENT}{inner}: {_inline(item)}"


def _described(text: str, indent: str) -> Iterator[str]:
    """Break a description into lines of the file's width."""
    line = f"#:{indent}"
    for word in text.split(" "):
        if len(line) + len(word) > _WIDTH:
            yield line
            line = f"#:{indent} "
        line += f" {word}"
    yield line.rstrip()


def _inline(value: object) -> str:
    """Return a value as YAML on one line."""
    stream = StringIO()
    yaml = YAML(typ="safe")
    yaml.default_flow_style, yaml.width = True, 10_000
    yaml.dump(_plain(value), stream)
    return stream.getvalue().removesuffix("...\n").strip()


def _plain(value: object) -> object:
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json")
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [_plain(item) for item in value]
    return value if isinstance(value, (bool, int, float, str, type(None))) else str(value)


def _models(annotation: object) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for inner in getattr(annotation, "__args__", ()):
        yield from _models(inner)


def _first_line(model: type[BaseModel]) -> str:
    return (model.__doc__ or Section.__doc__ or "").strip().splitlines()[0]


if __name__ == "__main__":
    sys.stdout.write(document())
