"""What powering off has brought: since a time, in figures and as a plot."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

import click

from hooks.power import ledger, part
from hooks.power.commands.resolve import plot_file, write_plot
from hooks.power.commands.show import assessments
from hooks.power.commands.time_span import seconds
from hooks.power.ledger import Entry
from hooks.power.round_state import RoundState, Tally
from hooks.power.simulate.plot import Line, Panel, svg
from onext.command import front_end, json_option
from onext.hosts.energy import JOULES_PER_GB, JOULES_PER_KWH, sources
from onext.part import Context
from onext.table import Row, echo, show

COLUMNS = (
    "cluster",
    "since",
    "hosts",
    "off_now",
    "off_hours",
    "saved_kwh",
    "moving_kwh",
    "net_kwh",
    "migrations",
    "wakes",
    "failed",
)
NARROW = ("cluster", "since", "hosts", "saved_kwh", "net_kwh", "wakes", "failed")
UNITS = (("days", 86_400.0), ("hours", 3600.0), ("minutes", 60.0))
NONE = Entry(*[0.0] * 9)


@click.command("report")
@click.option(
    "--since", "span", callback=seconds, metavar="30d|2026-11-01", help="Default: all that is known."
)
@click.option(
    "--plot",
    type=click.Path(path_type=Path),
    callback=plot_file,
    help="Write an SVG: hosts on and off, kWh saved.",
)
@json_option
@front_end
def report(context: Context, span: float | None, plot: Path | None, *, as_json: bool) -> None:
    """Show what each cluster has saved, by the hosts' own records."""
    state = RoundState()
    state.load(context.paths.state)
    rows: list[Row] = []
    for assessment in assessments(context, ()):
        tally, number = state.tallies.get(assessment.cluster.id, Tally()), assessment.cluster.id
        now = ledger.entry(assessment.cluster, tally, context.now())
        entries = [*ledger.read(context.paths.state, number), now]
        period = ledger.since(entries, now.when - span) if span is not None else entries
        rows.append(row(assessment, period[0] if span is not None else NONE, now))
        if plot:
            several = len(context.settings.power.clusters) > 1
            file = plot.with_stem(f"{plot.stem}-{number}") if several else plot
            write_plot(file, drawn(assessment.cluster.name, period))
    show(rows, COLUMNS, as_json=as_json, narrow=NARROW)
    if not as_json:
        for found in rows:
            echo(f"{found['cluster']}: idle watts: {found['idle_watts']}; boots and migrations: by the model")


def row(assessment: part.Assessment, start: Entry, now: Entry) -> Row:
    """Return what came between two entries."""
    saved = max(0.0, now.joules - start.joules)
    moving = JOULES_PER_GB * max(0.0, now.moved_gb - start.moved_gb)
    return {
        "cluster": assessment.cluster.name,
        "since": time.strftime("%F %H:%M", time.localtime(start.when)) if start.when else "the beginning",
        "hosts": len(assessment.cluster.hosts),
        "off_now": int(now.off),
        "off_hours": round(max(0.0, now.off_seconds - start.off_seconds) / 3600, 1),
        "saved_kwh": round(saved / JOULES_PER_KWH, 2),
        "moving_kwh": round(moving / JOULES_PER_KWH, 2),
        "net_kwh": round((saved - moving) / JOULES_PER_KWH, 2) + 0.0,
        "migrations": int(max(0.0, now.migrations - start.migrations)),
        "wakes": int(max(0.0, now.wakes - start.wakes)),
        "failed": int(max(0.0, now.failed_wakes - start.failed_wakes)),
        "idle_watts": sources(host.curve for host in assessment.cluster.hosts),
    }


def drawn(name: str, entries: Sequence[Entry]) -> str:
    """Plot the hosts that were on and off, and what was saved, from the first entry on."""
    begin, first = entries[0].when, entries[0].net_joules
    unit, seconds_each = _unit(entries[-1].when - begin)
    times = [(one.when - begin) / seconds_each for one in entries]
    on = Line("on", list(zip(times, (one.on for one in entries), strict=True)), colour="#d55e00")
    off = Line("off", list(zip(times, (one.off for one in entries), strict=True)), colour="#0072b2")
    kwh = [max(0.0, one.net_joules - first) / JOULES_PER_KWH for one in entries]
    saved = Line("less boots and migrations", list(zip(times, kwh, strict=True)), False, "#009e73")
    start = time.strftime("%F %H:%M", time.localtime(begin))
    panels = [Panel("hosts", [on, off], whole=True), Panel("kWh saved", [saved])]
    return svg(f"{name}: hosts on and off, energy saved", f"{unit} since {start}", panels)


def _unit(span: float) -> tuple[str, float]:
    """Return the unit of time in which a span is a number that people read."""
    return next((unit for unit in UNITS if span >= 2 * unit[1]), UNITS[-1])
