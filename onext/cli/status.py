"""`onext status`: does the worker live, what waits, what became of each key."""

from __future__ import annotations

import json
import time

import click

from onext import spool
from onext.command import front_end, json_option
from onext.part import Context
from onext.results import Result
from onext.table import Row, lines
from onext.worker import leadership
from onext.worker.inbox import Inbox

_SHOWN = 20


@click.command()
@click.option("--all", "everything", is_flag=True, help="List the last result of every key.")
@json_option
@front_end
def status(context: Context, *, everything: bool, as_json: bool) -> None:
    """Show the worker, its queue and the last results, failures first."""
    alive = spool.wake(str(context.paths.spool))
    waiting = sorted(Inbox(context.paths.spool).waiting(), key=lambda item: -item[1])
    heard = leadership.said(context) if alive else ""
    stopped = sorted(file.name for file in context.paths.stopped.glob("*"))
    results = sorted(context.last().items(), key=lambda item: (item[1].ok, -item[1].at))
    rows = [_row(key, result) for key, result in results]
    if as_json:
        queue = [{"key": key, "age": round(age, 1)} for key, age in waiting]
        click.echo(
            json.dumps(
                {"worker": alive, "oned": heard, "stopped": stopped, "queue": queue, "results": rows},
                indent=2,
            )
        )
        return
    oldest = f", the oldest for {waiting[0][1]:.0f} s" if waiting else ""
    click.echo(f"worker: {'runs' if alive else 'does not run'}")
    click.echo(f"queue:  {len(waiting)} waiting{oldest}")
    click.echo(f"stopped: {', '.join(stopped) or 'nothing'}")
    if heard:
        click.echo(heard)
    click.echo()
    for line in lines(rows if everything else rows[:_SHOWN], ("key", "when", "took", "result")):
        click.echo(line)
    if len(rows) > _SHOWN and not everything:
        click.echo(f"… {len(rows) - _SHOWN} more: onext status --all")


def _row(key: str, result: Result) -> Row:
    again = f" (again after {result.retry:.0f} s)" if result.retry else ""
    return {
        "key": key,
        "when": time.strftime("%m/%d %H:%M:%S", time.localtime(result.at)),
        "took": f"{result.took:.2f}s",
        "ok": result.ok,
        "result": ("" if result.ok else "FAILED: ") + result.message + again,
    }
