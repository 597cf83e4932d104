"""SCHED_REQUIREMENTS: the scheduler's boolean expressions over a host's attributes.

Tenants write them, so that length, nesting and work are bounded, and nothing here recurses. What exceeds a
bound, or is not understood, is Unreadable: such a VM fits on no host and is not moved.

Grammar and meaning are those of OpenNebula's expr_bool.y and expr_parser.l: `&` and `|` have the same
precedence and bind from the left, `!` binds tighter, text compares with shell wildcards, numbers as numbers,
`@>` searches a list, and every comparison with a missing attribute is false. `<=` and `>=` are added.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from fnmatch import translate
from typing import NamedTuple

from onext import bounds

Attributes = Mapping[str, str]
Test = Callable[[Attributes], bool]

LONGEST = 16_384  # characters of an expression; oned's own grow by 30 for each cluster
MOST_TOKENS = 1024
DEEPEST = 32
LONGEST_PATTERN, LONGEST_VALUE = 128, 512  # of a comparison with wildcards
PER_TOKEN, PER_WILDCARD = 50, 4  # what they cost, in comparisons
SHOWN = 100  # characters of an expression in a message
PREFIX = ("!", "(")

_TOKEN = re.compile(
    r"[ \t\r\n]*(?:([&|()])|(!)(?!=)|"
    r'"?([\w/]{1,128})"?[ \t]*(@>|!=|<=|>=|=|<|>)[ \t]*(?:"([^"]*)"|([^\s&|()!"]+)))'
)
_BLANK = re.compile(r"[ \t\r\n]*\Z")
_ORDER: Mapping[str, Callable[[float, float], bool]] = {
    "<": operator.lt,
    ">": operator.gt,
    "<=": operator.le,
    ">=": operator.ge,
}


class Unreadable(ValueError):
    """The expression is not one that we know, or exceeds a bound."""


class Comparison(NamedTuple):
    """An attribute, a sign, and what it is compared with."""

    name: str
    sign: str
    wanted: str


Step = Comparison | str  # in postfix order; text is an operator: & | !


def parse(text: str) -> tuple[Step, ...]:
    """Return an expression in postfix order; empty for an empty one, which always holds. Raise Unreadable."""
    if len(text) > LONGEST:
        raise Unreadable(f"longer than {LONGEST} characters")
    postfix = _Postfix()
    for count, step in enumerate(_tokens(text)):
        if count >= MOST_TOKENS:
            raise Unreadable(f"more than {MOST_TOKENS} comparisons and operators")
        postfix.add(step)
    return postfix.finished()


@dataclass
class _Postfix:
    """The shunting-yard algorithm: `waiting` are operators and brackets whose right side is to come."""

    output: list[Step] = field(default_factory=list)
    waiting: list[str] = field(default_factory=list)
    wants_value: bool = True

    def add(self, step: Step) -> None:
        if self.wants_value is not (isinstance(step, Comparison) or step in PREFIX):
            raise Unreadable(f"{bounds.words(str(step), SHOWN)!r} is unexpected there")
        if isinstance(step, Comparison):
            self.output.append(step)
            self.wants_value = False
            self._negate()
        elif step in PREFIX:
            self.waiting.append(step)
            if len(self.waiting) > DEEPEST:
                raise Unreadable(f"nested more than {DEEPEST} deep")
        elif step == ")":
            self._close()
        else:
            self._to_output("&|")
            self.waiting.append(step)
            self.wants_value = True

    def finished(self) -> tuple[Step, ...]:
        if self.wants_value and (self.output or self.waiting):
            raise Unreadable("it ends in the middle")
        self._to_output("&|")
        if self.waiting:
            raise Unreadable("a bracket is not closed")
        return tuple(self.output)

    def _close(self) -> None:
        self._to_output("&|")
        if not self.waiting:
            raise Unreadable("a bracket is closed that was not opened")
        self.waiting.pop()
        self._negate()

    def _negate(self) -> None:
        self._to_output("!")

    def _to_output(self, operators: str) -> None:
        while self.waiting and self.waiting[-1] in operators:
            self.output.append(self.waiting.pop())


def _tokens(text: str) -> Iterator[Step]:
    at = 0
    while not _BLANK.match(text, at):
        found = _TOKEN.match(text, at)
        if not found:
            raise Unreadable(f"syntax error at {bounds.words(text[at : at + SHOWN], SHOWN)!r}")
        yield (
            found[1]
            or found[2]
            or Comparison(found[3].upper(), found[4], found[5] if found[5] is not None else found[6])
        )
        at = found.end()


def compile_test(text: str) -> Test:
    """Return a test of one host's attributes; raise Unreadable."""
    steps = parse(text)
    return lambda host: bool(Matcher({0: host}).matching(steps))


@dataclass
class Matcher:
    """Which hosts meet expressions: each comparison is made once for all hosts, within a budget of work."""

    hosts: Mapping[int, Attributes]
    _known: dict[Comparison, frozenset[int]] = field(default_factory=dict)

    def cost(self, steps: tuple[Step, ...]) -> int:
        """Return what an expression costs, in comparisons that were not made yet."""
        new = [step for step in steps if isinstance(step, Comparison) and step not in self._known]
        each = (1 + PER_WILDCARD * step.wanted.count("*") for step in new)
        return len(self.hosts) * sum(each) + PER_TOKEN * len(steps)

    def matching(self, steps: tuple[Step, ...]) -> frozenset[int]:
        """Return the hosts that meet an expression."""
        everywhere = frozenset(self.hosts)
        stack: list[frozenset[int]] = []
        for step in steps:
            if isinstance(step, Comparison):
                stack.append(self._meeting(step))
            elif step == "!":
                stack.append(everywhere - stack.pop())
            else:
                right, left = stack.pop(), stack.pop()
                stack.append(left & right if step == "&" else left | right)
        return stack.pop() if stack else everywhere

    def _meeting(self, comparison: Comparison) -> frozenset[int]:
        if comparison not in self._known:
            holds = _test(comparison)
            hosts = self.hosts.items()
            self._known[comparison] = frozenset(
                host for host, has in hosts if has.get(comparison.name) and holds(has[comparison.name])
            )
        return self._known[comparison]


def _test(comparison: Comparison) -> Callable[[str], bool]:
    """Return a test of an attribute's value, which is there."""
    _, sign, wanted = comparison
    if sign == "@>":
        return lambda value: wanted in value[:LONGEST].split(",")
    if sign in ("=", "!="):
        equal = _equality(wanted)
        return equal if sign == "=" else lambda value: not equal(value)
    number, order = bounds.number(wanted, -1e18, 1e18), _ORDER[sign]

    def ordered(value: str) -> bool:
        found = bounds.number(value, -1e18, 1e18)
        return found is not None and number is not None and order(found, number)

    return ordered


def _equality(wanted: str) -> Callable[[str], bool]:
    number = bounds.number(wanted, -1e18, 1e18)
    if number is not None:
        return lambda value: bounds.number(value, -1e18, 1e18) == number
    if not any(char in wanted for char in "*?["):
        return lambda value: value == wanted
    if len(wanted) > LONGEST_PATTERN:
        raise Unreadable(f"a pattern is longer than {LONGEST_PATTERN} characters")
    pattern = re.compile(translate(wanted))
    return lambda value: len(value) <= LONGEST_VALUE and pattern.match(value) is not None
