"""YAML that people write, onext.yaml and bmc.yaml: bounded, and what is invalid is named by line and key.

The library raises ValueError for a date such as 2001-99-99 or a number of 5,000 digits, RecursionError for
2,000 brackets, and errors without a line for control characters. Here all of them are InvalidYaml.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.events import (
    AliasEvent,
    CollectionEndEvent,
    CollectionStartEvent,
    Event,
    MappingStartEvent,
    ScalarEvent,
)
from ruamel.yaml.reader import ReaderError

LARGEST = 4_194_304  # characters
_DEEPEST = 20
_MOST_ALIASES = 10  # more could grow without end when they are followed
# a fingerprint such as 0b5e… is a text: only what the library would read as a number is one
_LONG_NUMBER = re.compile(
    r"[-+]?(0[xX][0-9a-fA-F_]{30,}|0[oO][0-7_]{30,}|0[bB][01_]{30,}|[0-9_]{31,})", re.ASCII
)
_TYPES = (ValueError, OverflowError, RecursionError, TypeError, KeyError, AttributeError, AssertionError)


class InvalidYaml(ValueError):
    """A text is not YAML that can be used: `line` from 1, `key` as `power.clusters` or empty, `reason`."""

    def __init__(self, line: int, key: str, reason: str) -> None:
        self.line, self.key, self.reason = line, key, reason
        super().__init__(f"{line}: {f'{key}: ' if key else ''}{reason}")


def load(text: str) -> object:
    """Return a document with the lines of its keys (ruamel's round-trip types); raise InvalidYaml.

    No message holds a value: any may be a password.
    """
    if len(text) > LARGEST:
        raise InvalidYaml(1, "", f"more than {LARGEST} characters")
    try:
        scalars = _scalars(text)
    except ReaderError as error:
        at = error.position if isinstance(error.position, int) else 0
        start = text.rfind("\n", 0, at) + 1
        key = text[start:at].partition(":")[0].strip(" #-")
        reason = f"a control character (U+{ord(text[at : at + 1] or '?'):04X})"
        raise InvalidYaml(text.count("\n", 0, at) + 1, key[:60], reason) from None
    except InvalidYaml:
        raise
    except MarkedYAMLError as error:
        raise _marked(error) from None
    except (YAMLError, *_TYPES):
        raise InvalidYaml(1, "", "not YAML") from None
    try:
        return YAML(typ="rt").load(text)
    except MarkedYAMLError as error:
        raise _marked(error) from None
    except (YAMLError, *_TYPES):
        raise _culprit(scalars) from None


def _marked(error: MarkedYAMLError) -> InvalidYaml:
    line = error.problem_mark.line + 1 if error.problem_mark else 1
    problem = next(iter(str(error.problem or "").splitlines()), "")
    if "duplicate key" in problem:
        return InvalidYaml(line, "", "this key appears twice")
    reason = re.split("['\"]", problem)[0].strip()  # what the library quotes may be a value
    return InvalidYaml(line, "", f"not YAML: {reason}; is a quote or bracket not closed?")


@dataclass
class _Path:
    """Where in a document the events are."""

    keys: list[str | None] = field(default_factory=list)  # of each open collection its key in hand
    mappings: list[bool] = field(default_factory=list)
    at_key: list[bool] = field(default_factory=list)

    def __str__(self) -> str:
        return ".".join(key for key in self.keys if key is not None)[:120]

    def node(self, event: Event) -> bool:
        """Note a node; return whether it is the key of a mapping."""
        if not self.mappings or not self.mappings[-1]:
            return False
        is_key = self.at_key[-1]
        if is_key:
            self.keys[-1] = event.value[:60] if isinstance(event, ScalarEvent) else "?"
        self.at_key[-1] = not is_key
        return is_key

    def open(self, event: CollectionStartEvent) -> None:
        """Enter a collection."""
        self.node(event)
        self.keys.append(None)
        self.mappings.append(isinstance(event, MappingStartEvent))
        self.at_key.append(True)

    def close(self) -> None:
        """Leave a collection."""
        for stack in (self.keys, self.mappings, self.at_key):
            stack.pop()


@dataclass(frozen=True)
class _Scalar:
    line: int
    key: str
    value: str
    plain: bool
    tagged: bool


def _scalars(text: str) -> list[_Scalar]:
    """Return the values of a document without building it; raise InvalidYaml where it is nested too deep."""
    path, found, aliases = _Path(), list[_Scalar](), 0
    for event in YAML(typ="rt").parse(text):
        line = event.start_mark.line + 1
        if isinstance(event, CollectionStartEvent):
            path.open(event)
            if len(path.mappings) > _DEEPEST:
                raise InvalidYaml(line, str(path), f"nested more than {_DEEPEST} deep")
        elif isinstance(event, CollectionEndEvent):
            path.close()
        elif isinstance(event, AliasEvent):
            aliases += 1
            path.node(event)
            if aliases > _MOST_ALIASES:
                raise InvalidYaml(line, str(path), f"more than {_MOST_ALIASES} aliases")
        elif isinstance(event, ScalarEvent):
            path.node(event)
            if event.style is None and _LONG_NUMBER.fullmatch(event.value):
                raise InvalidYaml(line, str(path), "a number of more than 30 digits; put texts in quotes")
            tagged = event.tag is not None
            found.append(_Scalar(line, str(path), event.value, event.style is None, tagged))
    return found


def _culprit(scalars: list[_Scalar]) -> InvalidYaml:
    """Return the first value that is not possible by itself."""
    for scalar in scalars:
        try:
            if scalar.plain:
                YAML(typ="rt").load(scalar.value)
        except (YAMLError, *_TYPES):
            reason = "this value is not possible (a date, or a number too long?); put texts in quotes"
            return InvalidYaml(scalar.line, scalar.key, reason)
    suspect = next((scalar for scalar in scalars if scalar.tagged), _Scalar(1, "", "", False, True))
    return InvalidYaml(suspect.line, suspect.key, "this value does not fit its tag")
