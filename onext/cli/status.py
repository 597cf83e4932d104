"""`onext status`: does the worker run, what waits, what became of each key."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import click

from onext import spool
from onext.command import echo_json, front_end, json_option
from onext.oned.client import Oned
from onext.oned.errors import OnedError
from onext.part import Context
from onext.results import Result
from onext.settings import Settings, SettingsError
from onext.table import Row, iso, lines
from onext.worker import heartbeat, renewal
from onext.worker.deliveries import keys
from onext.worker.inbox import Inbox, Taken
from onext.worker.registry import installed

PATIENCE = 3.0  # seconds for oned
OVERDUE = 300.0  # seconds without a round of a part that has one each minute
_SHOWN = 20


@dataclass(frozen=True)
class Waiting:
    """The files of the spool: those that wait, and those whose keys are in back-off after a failure."""

    fresh: tuple[tuple[str, float], ...]
    retried: tuple[tuple[str, float], ...]

    @classmethod
    def find(cls, context: Context, results: Mapping[str, Result]) -> Waiting:
        """Read the spool."""
        parts = list(installed())
        fresh: list[tuple[str, float]] = []
        retried: list[tuple[str, float]] = []
        for name, age in sorted(Inbox(context.paths.spool).waiting(), key=lambda item: -item[1]):
            try:
                caused = keys(Taken.parse(name), parts)
            except ValueError:
                caused = []
            failed = [key for key in caused if (found := results.get(str(key))) and not found.ok]
            (retried if failed else fresh).append((name, age))
        return cls(tuple(fresh), tuple(retried))


@click.command()
@click.option("--all", "everything", is_flag=True, help="List the last result of every key.")
@json_option
@front_end
def status(context: Context, *, everything: bool, as_json: bool) -> None:
    """Show the worker, its queue and the last results, failures first.

    Exit code 1 when the worker does not run or respond, or the settings are invalid.
    """
    worker, well = _worker(context)
    settings, invalid = _settings(context)
    last = context.last()
    waiting = Waiting.find(context, last)
    oned = _oned(context, settings)
    stopped = sorted(file.name for file in context.paths.stopped.glob("*"))
    results = sorted(
        last.items(), key=lambda item: (item[1].ok and not _overdue(item[0], item[1], stopped), -item[1].at)
    )
    if as_json:
        document = {
            "worker": well,
            "worker_state": worker,
            "settings_problem": invalid or None,
            "oned": oned,
            "stopped": stopped,
            "queue": [{"key": name, "age": round(age, 1), "retried": False} for name, age in waiting.fresh]
            + [{"key": name, "age": round(age, 1), "retried": True} for name, age in waiting.retried],
            "results": [
                {**_record(key, result), "overdue": round(_overdue(key, result, stopped))}
                for key, result in results
            ],
        }
        echo_json(document)
    else:
        _print(worker, invalid, waiting, stopped, oned)
        rows = [_row(key, result, _overdue(key, result, stopped)) for key, result in results]
        shown = rows if everything else rows[:_SHOWN]
        for line in lines(shown, ("key", "when", "took", "result")):
            click.echo(line)
        if len(rows) > len(shown):
            click.echo(f"… {len(rows) - _SHOWN} more: onext status --all")
    sys.exit(not well or bool(invalid))


def _print(worker: str, invalid: str, waiting: Waiting, stopped: Sequence[str], oned: str) -> None:
    click.echo(f"worker:   {worker}")
    for line in invalid.splitlines():
        click.echo(f"settings: {line}")
    oldest = f", the oldest for {waiting.fresh[0][1]:.0f} s" if waiting.fresh else ""
    again = f"; {len(waiting.retried)} failed and are tried again, see below" if waiting.retried else ""
    click.echo(f"queue:    {len(waiting.fresh)} waiting{oldest}{again}")
    names = ", ".join(f"{name} (`onext start {name}`)" for name in stopped)
    click.echo(f"stopped:  {names or 'nothing'}")
    click.echo(f"oned:     {oned}")
    click.echo()


def _worker(context: Context) -> tuple[str, bool]:
    """Return what is known of the worker, and whether it works."""
    if not spool.wake(str(context.paths.spool)):
        return "does not run: systemctl start onext-worker, or `onext worker`", False
    age = heartbeat.age(context.paths)
    if age is not None and age > heartbeat.LATE:
        return f"does not respond since {age:.0f} s: it hangs or was stopped by a signal", False
    return "runs", True


def _settings(context: Context) -> tuple[Settings, str]:
    """Return settings to work with, and what is invalid."""
    try:
        return context.settings, ""
    except SettingsError as error:
        rest = renewal.problem(context).rpartition("; ")[2] or "the worker does not use them"
        return Settings(), f"INVALID: {error}\n{rest}"


def _oned(context: Context, settings: Settings) -> str:
    """Ask oned itself: what the worker heard last may be old."""
    try:
        oned = Oned.connect(context.paths, settings.oned.endpoint, min(PATIENCE, settings.oned.timeout))
        raft = oned.raft()
    except OnedError as error:
        return f"does not answer now: {error}"
    acts = "" if raft.acts else ": nothing is changed from here"
    return f"{raft.state.name}{acts}"


def _overdue(key: str, result: Result, stopped: Sequence[str]) -> float:
    """Return for how many seconds a part has made no round though one is due each minute, else 0."""
    part, _, rest = key.partition(".")
    age = time.time() - result.at - result.took
    return age if rest == "pool.0" and age > OVERDUE and not {part, "all"} & set(stopped) else 0.0


def _row(key: str, result: Result, overdue: float = 0.0) -> Row:
    late = f"OVERDUE, no round for {overdue:.0f} s; the last: " if overdue else ""
    again = f" (tried again after {result.retry:.0f} s)" if result.retry else ""
    return {
        "key": key,
        "when": time.strftime("%m/%d %H:%M:%S", time.localtime(result.at)),
        "took": f"{result.took:.2f}s",
        "result": late + ("" if result.ok else "FAILED: ") + result.message + again,
    }


def _record(key: str, result: Result) -> Row:
    return {
        "key": key,
        "when": iso(result.at),
        "took": round(result.took, 3),
        "ok": result.ok,
        "result": result.message,
        "retry": result.retry,
    }
