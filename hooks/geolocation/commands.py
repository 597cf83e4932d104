"""`onext geo`: where hosts are, and bringing that up to date by hand."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed

import click

from hooks.geolocation.decide import LOCK, MARK, VALUE
from hooks.geolocation.part import PART, locate
from onext.command import dry_run_option, find, front_end, json_option
from onext.oned.errors import OnedError
from onext.oned.objects import Host
from onext.options import Group
from onext.part import Context, Retry
from onext.table import Row, show


@click.group("geo", cls=Group)
def geo() -> None:
    """Where hosts are: GEOLOCATION in their templates."""


@geo.command("show")
@click.argument("hosts", nargs=-1)
@json_option
@front_end
def show_hosts(context: Context, hosts: Sequence[str], *, as_json: bool) -> None:
    """List the locations of all HOSTS, or of some (ids or names)."""
    show(
        [_row(host) for host in chosen(context, hosts)],
        ("id", "name", "geolocation", "source"),
        as_json=as_json,
    )


@geo.command("update")
@click.argument("hosts", nargs=-1)
@dry_run_option
@json_option
@front_end
def update(context: Context, hosts: Sequence[str], *, dry_run: bool, as_json: bool) -> None:
    """Determine the location of all HOSTS now, or of some (ids or names)."""
    pool = chosen(context, hosts)
    outcomes = list(_progress(located(context, pool, write=not dry_run), len(pool)))
    show(sorted(outcomes, key=lambda row: int(str(row["id"]))), ("id", "name", "result"), as_json=as_json)
    if any(row["failed"] for row in outcomes):
        sys.exit(1)


def chosen(context: Context, words: Sequence[str]) -> list[Host]:
    """Return the hosts that `words` name; raise UsageError for one that does not exist."""
    pool = sorted(context.oned.hosts(), key=lambda host: host.id)
    return [find(pool, word, "host") for word in words] or pool


def located(context: Context, hosts: Iterable[Host], *, write: bool = True) -> Iterator[Row]:
    """Locate hosts, several at once; yield a row for each as it is done. Without `write` only decide."""
    with ThreadPoolExecutor(PART.threads) as pool:
        waiting = {pool.submit(_locate, context, host, write=write): host for host in hosts}
        for future in as_completed(waiting):
            host = waiting[future]
            failed, result = future.result()
            yield {"id": host.id, "name": host.name, "result": result, "failed": failed}


def _locate(context: Context, host: Host, *, write: bool) -> tuple[bool, str]:
    try:
        decision = locate(context, host.id, write=write)
    except (Retry, OnedError) as error:
        return True, str(error)
    return False, ("would write: " if decision.changes and not write else "") + decision.reason


def _progress(rows: Iterator[Row], total: int) -> Iterator[Row]:
    if not sys.stderr.isatty():
        yield from rows
        return
    with click.progressbar(rows, length=total, label="Locating hosts", file=sys.stderr) as bar:
        yield from bar


def _row(host: Host) -> Row:
    mark = host.template.get(MARK)
    source = mark.get("SOURCE") if isinstance(mark, dict) else None
    locked = host.text(LOCK).upper() == "YES"
    return {
        "id": host.id,
        "name": host.name,
        "geolocation": host.text(VALUE),
        "source": "locked" if locked else source or ("by hand" if host.text(VALUE) else ""),
    }
