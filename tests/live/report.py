"""What `make live` prints: the release of OpenNebula, and one line per part of what passed on it."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from pytest import TerminalReporter  # noqa: PT013 - a type, named as pytest names it

_OUTCOMES = ("passed", "failed", "error", "skipped")


class Outcome(Protocol):
    """What pytest reports of one phase of one test, or a test that was deselected."""

    nodeid: str


def lines(stats: dict[str, list[Outcome]]) -> Iterator[str]:
    """Return a line for each module of tests/live, in the order of their names: counts and seconds."""
    counts: dict[str, Counter[str]] = {}
    seconds: defaultdict[str, float] = defaultdict(float)
    for outcome, reports in stats.items():
        for report in reports:
            part = _part(getattr(report, "nodeid", ""))
            if part:
                seconds[part] += getattr(report, "duration", 0.0)  # what was deselected took none
                if outcome in _OUTCOMES:
                    counts.setdefault(part, Counter())[outcome] += 1
    for part in sorted(counts):
        told = ", ".join(f"{counts[part][name]} {name}" for name in _OUTCOMES if counts[part][name])
        yield f"{part}: {told} ({seconds[part]:.0f} s)"


def _part(nodeid: str) -> str:
    path = Path(nodeid.partition("::")[0])
    return path.stem.removeprefix("test_") if path.parent.as_posix() == "tests/live" else ""


def write(reporter: TerminalReporter, title: str) -> None:
    """Print the summary of a run."""
    reporter.section(title)
    for line in lines(reporter.stats):
        reporter.write_line(line)
