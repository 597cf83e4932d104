"""Tables in the manner of `onehost list`, and the same rows as JSON for scripts."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

import click

from onext.log import escape

Row = Mapping[str, object]


def show(rows: Sequence[Row], columns: Sequence[str], *, as_json: bool) -> None:
    """Print `rows`: JSON with every key, or a table of `columns` in capitals."""
    if as_json:
        click.echo(json.dumps(list(rows), indent=2, default=str))
    else:
        for line in lines(rows, columns):
            click.echo(line)


def lines(rows: Sequence[Row], columns: Sequence[str]) -> list[str]:
    """Return the lines of a table; numbers stand right, and names from outside cannot break a line."""
    cells = [[_text(row.get(column)) for column in columns] for row in rows]
    widths = [max([len(column), *(len(row[i]) for row in cells)]) for i, column in enumerate(columns)]
    right = [bool(rows) and all(isinstance(row.get(c), int | float) for row in rows) for c in columns]
    head = [column.upper() for column in columns]
    return [_join(line, widths, right) for line in (head, *cells)]


def _join(cells: Sequence[str], widths: Sequence[int], right: Sequence[bool]) -> str:
    padded = (c.rjust(w) if r else c.ljust(w) for c, w, r in zip(cells, widths, right, strict=True))
    return "  ".join(padded).rstrip()


def _text(value: object) -> str:
    return "-" if value is None or value == "" else escape(value)
