"""Tables in the manner of `onehost list`, and the same rows as JSON for scripts."""

from __future__ import annotations

import json
import os
import shutil
import sys
import textwrap
from collections.abc import Mapping, Sequence
from datetime import datetime, timezone

import click

from onext.log import escape

Row = Mapping[str, object]
WIDE = "onext.wide"  # of click's context: `--wide` was given
_SPARE = 12  # characters that a column keeps when a table is fitted to a terminal
_COLOURS = {"ok": "green", "warn": "yellow", "fail": "red", "failed": "red", "error": "red"}


def show(
    rows: Sequence[Row], columns: Sequence[str], *, as_json: bool, narrow: Sequence[str] | None = None
) -> None:
    """Print `rows`: JSON with every key, or a table of `columns` in capitals.

    `narrow` are the columns for a terminal, where all of them do not fit; `--wide` shows all.
    """
    if as_json:
        click.echo(dumps(list(rows)))
        return
    for line in lines(rows, narrow if narrow and fits() else columns):
        click.echo(line)


def echo(text: str) -> None:
    """Print lines; on a terminal, without `--wide`, they are wrapped between words."""
    for line in text.splitlines():
        indent = " " * (len(line) - len(line.lstrip()) + 2)
        click.echo("\n".join(_wrapped(line, _width(), indent)) if fits() else line)


def _width() -> int:
    return shutil.get_terminal_size((80, 24)).columns


def dumps(document: object) -> str:
    """Return JSON for scripts: numbers as numbers, times as ISO 8601."""
    return json.dumps(document, indent=2, default=str, ensure_ascii=False)


def iso(at: float) -> str:
    """Return a Unix time as ISO 8601 in UTC."""
    return datetime.fromtimestamp(at, timezone.utc).isoformat(timespec="seconds").replace("+00:00", "Z")


def fits() -> bool:
    """Whether tables are fitted to a terminal: one is printed to, and `--wide` is not set."""
    context = click.get_current_context(silent=True)
    return sys.stdout.isatty() and not (context and context.meta.get(WIDE))


def lines(rows: Sequence[Row], columns: Sequence[str]) -> list[str]:
    """Return the lines of a table; numbers are right-aligned, and names from outside cannot break a line.

    On a terminal, without `--wide`, cells wrap between words until the table fits; where that does not
    suffice, each row becomes several lines.
    """
    cells = [[_text(row.get(column)) for column in columns] for row in rows]
    widths = [max([len(column), *(len(row[i]) for row in cells)]) for i, column in enumerate(columns)]
    right = [bool(rows) and all(isinstance(row.get(c), int | float) for row in rows) for c in columns]
    if fits() and not _fit(widths, _least(cells, columns, right), _width()):
        return [line for row in cells for line in _stacked(row, columns, _width())]
    head = [column.upper() for column in columns]
    return [line for row in (head, *cells) for line in _layout(row, widths, right)]


def _least(cells: Sequence[Sequence[str]], columns: Sequence[str], right: Sequence[bool]) -> list[int]:
    """Return the width below which a column would break a word; the last one may pass the edge with one."""
    least = []
    for i, column in enumerate(columns):
        parts = [len(row[i]) if right[i] else _longest_word(row[i]) for row in cells]
        least.append(max([len(column), *parts]))
    if not right[-1]:
        least[-1] = min(least[-1], max(_SPARE, len(columns[-1])))
    return least


def _longest_word(cell: str) -> int:
    return max(map(len, cell.split()), default=0)


def _fit(widths: list[int], least: Sequence[int], room: int) -> bool:
    """Narrow the widest columns until the table fits; return whether it does."""
    while sum(widths) + 2 * (len(widths) - 1) > room:
        free = [i for i, width in enumerate(widths) if width > least[i]]
        if not free:
            return False
        widths[max(free, key=lambda i: widths[i])] -= 1
    return True


def _stacked(cells: Sequence[str], columns: Sequence[str], room: int) -> list[str]:
    """Return a row as pairs of column and value, several on a line; the further lines are indented."""
    found = [""]
    for column, cell in zip(columns, cells, strict=True):
        pair = f"{column.upper()} {coloured(cell, cell)}"
        if found[-1].strip() and len(found[-1]) + 2 + len(pair) > room:
            found.append("   ")
        found[-1] += f"{'  ' if found[-1].strip() else ''}{pair}"
    return [line for one in found for line in _wrapped(one, room)]


def _wrapped(line: str, room: int, indent: str = "      ") -> list[str]:
    return textwrap.wrap(line, room, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False)


def _layout(cells: Sequence[str], widths: Sequence[int], right: Sequence[bool]) -> list[str]:
    """Return the lines of one row: what does not fit its column continues below."""
    columns = [_wrap(cell, width) for cell, width in zip(cells, widths, strict=True)]
    height = max(map(len, columns), default=1)
    padded = [column + [""] * (height - len(column)) for column in columns]
    return [_join([column[i] for column in padded], widths, right) for i in range(height)]


def _wrap(cell: str, width: int) -> list[str]:
    """Break a cell at spaces; a word that is wider stays whole."""
    found: list[str] = []
    while len(cell) > width:
        at = cell.rfind(" ", 0, width + 1)
        if at <= 0:
            at = cell.find(" ")
        if at <= 0:
            break
        found.append(cell[:at].rstrip())
        cell = cell[at:].lstrip()
    return [*found, cell]


def _join(cells: Sequence[str], widths: Sequence[int], right: Sequence[bool]) -> str:
    padded = (
        coloured(c, c.rjust(w) if r else c.ljust(w)) for c, w, r in zip(cells, widths, right, strict=True)
    )
    return "  ".join(padded).rstrip()


def coloured(word: str, text: str) -> str:
    """Return a text in the colour of a state, on a terminal only and not with NO_COLOR."""
    colour = _COLOURS.get(word)
    if colour is None or os.environ.get("NO_COLOR") or not sys.stdout.isatty():
        return text
    return click.style(text, fg=colour)


def _text(value: object) -> str:
    return "-" if value is None or value == "" else escape(value)
