"""SCHED_REQUIREMENTS: the scheduler's boolean expressions over a host's attributes.

Text compares with shell wildcards, numbers as numbers, `@>` looks into a list; a missing attribute equals
nothing. Grammar: OpenNebula's documentation of the scheduler's requirement expressions.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Mapping
from fnmatch import fnmatchcase

Attributes = Mapping[str, str]
Test = Callable[[Attributes], bool]

_TOKEN = re.compile(r'\s*([&|!()]|"?[\w/]+"?\s*(?:@>|!=|<=|>=|=|<|>)\s*(?:"[^"]*"|[^\s&|()!]+))')
_COMPARISON = re.compile(r'"?([\w/]+)"?\s*(@>|!=|<=|>=|=|<|>)\s*(?:"([^"]*)"|(.+))')
_ORDER: Mapping[str, Callable[[float, float], bool]] = {
    "<": operator.lt,
    ">": operator.gt,
    "<=": operator.le,
    ">=": operator.ge,
}


class Unreadable(ValueError):
    """The expression is not one that we know."""


def compile_test(text: str) -> Test:
    """Return a test of a host's attributes; the empty expression holds. Raise Unreadable."""
    if not text.strip():
        return lambda _: True
    parser = _Parser(_tokens(text))
    test = parser.either()
    if parser.left:
        raise Unreadable(f"{text!r}: {parser.left[-1]!r} is left over")
    return test


def _tokens(text: str) -> list[str]:
    tokens, at = [], 0
    while text[at:].strip():
        found = _TOKEN.match(text, at)
        if not found:
            raise Unreadable(f"{text!r}: cannot be read from {text[at : at + 20]!r} on")
        tokens.append(found[1])
        at = found.end()
    return tokens[::-1]


class _Parser:
    def __init__(self, tokens: list[str]) -> None:
        self.left = tokens  # the next one last

    def either(self) -> Test:
        tests = [self._both()]
        while self._take("|"):
            tests.append(self._both())
        return lambda host: any(test(host) for test in tests)

    def _both(self) -> Test:
        tests = [self._term()]
        while self._take("&"):
            tests.append(self._term())
        return lambda host: all(test(host) for test in tests)

    def _term(self) -> Test:
        if self._take("!"):
            inner = self._term()
            return lambda host: not inner(host)
        if self._take("("):
            inside = self.either()
            if not self._take(")"):
                raise Unreadable("a bracket is not closed")
            return inside
        return _comparison(self.left.pop() if self.left else "")

    def _take(self, token: str) -> bool:
        if self.left and self.left[-1] == token:
            self.left.pop()
            return True
        return False


def _comparison(token: str) -> Test:
    found = _COMPARISON.fullmatch(token)
    if not found:
        raise Unreadable(f"{token!r} is no comparison")
    name, sign = found[1].upper(), found[2]
    wanted = found[3] if found[3] is not None else found[4]
    return lambda host: _holds(host.get(name, ""), sign, wanted)


def _holds(value: str, sign: str, wanted: str) -> bool:
    if sign == "@>":
        return wanted in value.split(",")
    if sign in ("=", "!="):
        return _equal(value, wanted) is (sign == "=")
    try:
        return _ORDER[sign](float(value), float(wanted))
    except ValueError:
        return False


def _equal(value: str, wanted: str) -> bool:
    try:
        return float(value) == float(wanted)
    except ValueError:
        return bool(value) and fnmatchcase(value, wanted)
