"""Tables in the manner of `onehost list`, and the same rows as JSON for scripts."""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Mapping, Sequence
from datetime import datetime, timezone

import click

from onext.log import escape

Row = Mapping[str, object]
WIDE = "onext.wide"  # of click's context: `--wide` was given
_SPARE = 12  # characters that a column keeps when a table is fitted to a terminal
_COLOURS = {"ok": "green", "warn": "yellow", "fail": "red", "failed": "red", "error": "red"}


def show(rows: Sequence[Row], columns: Sequence[str], *, as_json: bool) -> None:
    """Print `rows`: JSON with every key, or a table of `columns` in capitals."""
    if as_json:
        click.echo(dumps(list(rows)))
        return
    for line in lines(rows, columns):
        click.echo(line)


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

    On a terminal, without `--wide`, cells wrap until the table fits.
    """
    cells = [[_text(row.get(column)) for column in columns] for row in rows]
    widths = [max([len(column), *(len(row[i]) for row in cells)]) for i, column in enumerate(columns)]
    right = [bool(rows) and all(isinstance(row.get(c), int | float) for row in rows) for c in columns]
    if fits():
        _fit(widths, right, shutil.get_terminal_size((80, 24)).columns)
    head = [column.upper() for column in columns]
    return [line for row in (head, *cells) for line in _layout(row, widths, right)]


def _fit(widths: list[int], right: Sequence[bool], room: int) -> None:
    """Narrow the widest columns until the table fits; ids and numbers stay whole."""
    while sum(widths) + 2 * (len(widths) - 1) > room:
        free = [i for i, width in enumerate(widths) if not right[i] and width > _SPARE]
        if not free:
            return
        widths[max(free, key=lambda i: widths[i])] -= 1


def _layout(cells: Sequence[str], widths: Sequence[int], right: Sequence[bool]) -> list[str]:
    """Return the lines of one row: what does not fit its column continues below."""
    last = len(cells) - 1
    columns = [_wrap(cell, widths[i], whole=i == last) for i, cell in enumerate(cells)]
    height = max(map(len, columns), default=1)
    padded = [column + [""] * (height - len(column)) for column in columns]
    return [_join([column[i] for column in padded], widths, right) for i in range(height)]


def _wrap(cell: str, width: int, *, whole: bool) -> list[str]:
    """Break a cell at spaces, and a longer word where the width ends unless words stay `whole`."""
    found: list[str] = []
    while len(cell) > width:
        at = cell.rfind(" ", 0, width + 1)
        if at <= 0:
            at = cell.find(" ") if whole else width
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
