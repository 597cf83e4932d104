"""SCHED_REQUIREMENTS: the scheduler's boolean expressions, `CLUSTER_ID="100" & !(NAME="a*" | FREE_CPU < 50)`.

A text is compared with shell wildcards, a number as a number; an attribute that is missing equals nothing.
"""

import re
from collections.abc import Callable
from fnmatch import fnmatchcase

_TOKEN = re.compile(r'\s*(?:([&|!()])|("?)([\w/]+)\2\s*(@>|!=|>=|<=|=|>|<)\s*("[^"]*"|[-+\w.*?]+))')

Lookup = Callable[[str], str]


class RequirementsError(ValueError):
    """The expression does not parse."""


def matches(expression: str, lookup: Lookup) -> bool:
    """Tell whether an expression holds for the values that `lookup` returns; the empty one does."""
    return not expression.strip() or _Expression(expression, lookup).value()


class _Expression:
    def __init__(self, source: str, lookup: Lookup) -> None:
        self._source, self._lookup = source, lookup
        self._at = 0

    def value(self) -> bool:
        found = self._any()
        if self._source[self._at :].strip():
            raise self._error()
        return found

    def _any(self) -> bool:
        found = self._all()
        while self._take("|"):
            found = self._all() or found
        return found

    def _all(self) -> bool:
        found = self._term()
        while self._take("&"):
            found = self._term() and found
        return found

    def _term(self) -> bool:
        if self._take("!"):
            return not self._term()
        if self._take("("):
            found = self._any()
            if not self._take(")"):
                raise self._error()
            return found
        compared = _TOKEN.match(self._source, self._at)
        if not compared or compared[1]:
            raise self._error()
        self._at = compared.end()
        return _compare(self._lookup(compared[3].upper()), compared[4], compared[5].strip('"'))

    def _take(self, sign: str) -> bool:
        found = _TOKEN.match(self._source, self._at)
        if found and found[1] == sign:
            self._at = found.end()
            return True
        return False

    def _error(self) -> RequirementsError:
        return RequirementsError(f"syntax error at column {self._at} of {self._source!r}")


def _compare(have: str, sign: str, want: str) -> bool:
    if sign in ("=", "!="):
        return (fnmatchcase(have, want) and have != "") == (sign == "=")
    if sign == "@>":
        return want in have.split(",")
    try:
        left, right = float(have), float(want)
    except ValueError:
        return False
    return {">": left > right, "<": left < right, ">=": left >= right, "<=": left <= right}[sign]
