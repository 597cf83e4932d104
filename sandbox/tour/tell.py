"""What the tour prints: headings, indented lines, small tables."""

import sys
import time
from collections.abc import Sequence

_START = time.monotonic()


def chapter(title: str) -> None:
    """Begin a part of the tour."""
    line(f"\n[{time.monotonic() - _START:5.1f} s] {title}")


def line(text: str) -> None:
    """Print one line, at once: people watch."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def indented(text: str) -> None:
    """Print the lines of a program."""
    for row in text.splitlines():
        line(f"    {row}")


def table(columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Print a table, as `onehost list` does."""
    cells = [[str(value) for value in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(columns, *cells, strict=True)]
    for row in (columns, *cells):
        line("    " + "  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip())
