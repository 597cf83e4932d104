"""`onext power bmc`: whether the BMCs of bmc.yaml can be used, before they are needed."""

from __future__ import annotations

import sys
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

import click

from hooks.power import part
from onext import bounds
from onext.command import find, front_end, json_option
from onext.hosts.bmc.check import DEADLINE, STEPS, Result, check_all
from onext.oned.errors import OnedError
from onext.options import Group
from onext.part import Context
from onext.table import Row, echo, show

COLUMNS = ("id", "host", "reach", "cert", "login", "ident", "priv", "power", "watts", "secs")
_SHORT = {"certificate": "cert", "identity": "ident", "privilege": "priv"}
_WIDEST = 14  # characters of a host's name in the table


@click.group("bmc", cls=Group)
def bmc() -> None:
    """Check the BMCs that bmc.yaml names."""


@bmc.command("check")
@click.argument("host", required=False)
@click.option(
    "--timeout",
    default=DEADLINE,
    show_default=True,
    type=click.FloatRange(1, 600),
    help="Seconds for all together.",
)
@json_option
@front_end
def check(context: Context, host: str | None, *, timeout: float, as_json: bool) -> None:
    """Check the BMC of HOST (id or name), or all: is it reachable, the right one, and may it be ordered.

    Nothing is switched. Exit code 1 when one cannot be used.
    """
    config = part.book(context)
    names = _names(context)
    chosen = None if host is None else {_number(host, names, config.entries)}
    if chosen and not chosen <= config.entries.keys():
        raise click.UsageError(f"host {host} has no entry in {config.file}")
    if not as_json and sys.stderr.isatty():
        click.echo(f"asking {len(chosen or config.entries)} BMCs, at most {timeout:g} s", err=True)
    results = check_all(config, chosen, timeout)
    rows = [_row(result, names) for result in results]
    show(rows if as_json else [_shortened(row) for row in rows], COLUMNS, as_json=as_json)
    if not as_json:
        for line in _explained(results):
            echo(line)
    sys.exit(any(result.failed for result in results))


def _names(context: Context) -> dict[int, str]:
    """Return host names by id; none where oned does not answer, because BMCs may still be checked."""
    try:
        pool = context.oned.document("hostpool.info")
    except OnedError:
        return {}
    return {int(one.findtext("ID", "-1")): one.findtext("NAME", "") for one in pool.iterfind("HOST")}


@dataclass(frozen=True)
class _Item:
    """A host by id and name, for `find`."""

    id: int
    name: str


def _number(word: str, names: Mapping[int, str], entries: Collection[int]) -> int:
    """Return a host's id; the id of an entry counts even if oned does not answer, or lost that host."""
    number = bounds.whole(word, 0, 1 << 31)
    if number is not None and (number in entries or not names):
        return number
    return find((_Item(*one) for one in names.items()), word, "host").id


def _row(result: Result, names: Mapping[int, str]) -> Row:
    return {
        "id": result.host,
        "host": names.get(result.host, ""),
        "kind": result.kind,
        **{step: result.steps[step] for step in STEPS if step != "power"},
        "power": result.power,
        "watts": result.watts,
        "watts_source": result.source,
        "implausible": list(result.implausible),
        "uuid": result.uuid,
        "serial": result.serial,
        "seconds": result.seconds,
        "usable": not result.failed,
        "error": result.error,
        "reason": result.reason,
    }


def _shortened(row: Row) -> Row:
    short = {_SHORT.get(key, key): "no" if value == "failed" else value for key, value in row.items()}
    short["priv"] = "?" if short["priv"] == "unknown" else short["priv"]
    name, seconds = str(row["host"]), row["seconds"]
    return {
        **short,
        "host": name if len(name) <= _WIDEST else f"{name[: _WIDEST - 1]}…",
        "power": str(row["power"]).split(" ", maxsplit=1)[0],
        "watts": round(row["watts"]) if isinstance(row["watts"], float) else None,
        "secs": f"{seconds:.1f}",
    }


def _explained(results: list[Result]) -> Iterator[str]:
    for result in results:
        if result.reason:
            yield f"host {result.host}: {result.reason}"
        for figure in result.implausible:
            yield f"host {result.host}: left out: {figure}"
