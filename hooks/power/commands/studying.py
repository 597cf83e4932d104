"""What it would bring, and what it has brought: simulation, advice from the past, report."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

import click

from hooks.power.commands.seeing import looks
from hooks.power.history import accounting
from hooks.power.planner.problem import ZERO
from hooks.power.policy import Mode, Policy
from hooks.power.simulate.plot import Line, svg
from hooks.power.simulate.run import Outcome, bound_kwh, fleet, run
from hooks.power.simulate.steering import AlwaysOn, Ours, Scripts, Steering
from hooks.power.simulate.weeks import DAY, SHAPES, Arrival, week
from hooks.power.simulate.world import Node
from onext.command import front_end, json_option
from onext.part import Context
from onext.table import Row, show

COLUMNS = ("week", "steering", "kwh", "saved", "waiting_s", "migrations", "wakes", "hosts_on")
SIMULATED = Policy(
    mode=Mode.AUTO,
    pack=True,
    spare_host=False,
    buffer_vms=2,
    idle_seconds=300,
    min_on_seconds=600,
    cycles_per_day=24,
    max_parallel_off=4,
    max_migrations=200,
    target_utilisation=1.0,
)
plot_option = click.option(
    "--plot", type=click.Path(path_type=Path), help="Write an SVG of the hosts that are on."
)


@click.command("simulate")
@click.option("--hosts", default=24, show_default=True, help="Hosts of the cluster.")
@click.option("--days", default=7.0, show_default=True)
@click.option("--week", "kinds", type=click.Choice(sorted(SHAPES)), multiple=True, help="Only these weeks.")
@click.option("--peak", default=0.75, show_default=True, help="Share of the memory in use at the peak.")
@click.option("--seed", default=1, show_default=True)
@plot_option
@json_option
def simulate(
    hosts: int, days: float, kinds: Sequence[str], peak: float, seed: int, plot: Path | None, *, as_json: bool
) -> None:
    """Play synthetic weeks: our decisions, the reference's scripts, always on, and the perfect bound."""
    rows: list[Row] = []
    for kind in kinds or sorted(SHAPES):
        capacity = sum((node.size for node in fleet(hosts)), ZERO)
        arrivals = week(kind, capacity, peak, seed, days)
        outcomes = _play(hosts, arrivals, days, kind)
        rows += _table(kind, fleet(hosts), arrivals, days, outcomes)
        if plot:
            plot.with_stem(f"{plot.stem}-{kind}").write_text(_plot(kind, outcomes), encoding="utf-8")
    show(rows, COLUMNS, as_json=as_json)


def _play(hosts: int, arrivals: list[Arrival], days: float, kind: str) -> dict[str, Outcome]:
    steerings: dict[str, Steering] = {"always on": AlwaysOn(), "scripts": Scripts(), "onext": Ours(SIMULATED)}
    outcomes = {}
    for name, steering in steerings.items():
        bar = click.progressbar(length=round(days * DAY), label=f"{kind}, {name}", file=sys.stderr)
        with bar if sys.stderr.isatty() else nullcontext() as shown:
            progress = (
                (lambda seconds, shown=shown: shown.update(round(seconds))) if shown else (lambda _: None)
            )
            outcomes[name] = run(fleet(hosts), arrivals, steering, days=days, progress=progress)
    return outcomes


def _table(
    kind: str, nodes: list[Node], arrivals: list[Arrival], days: float, outcomes: dict[str, Outcome]
) -> list[Row]:
    always = outcomes["always on"].kwh
    rows: list[Row] = [
        {
            "week": kind,
            "steering": name,
            "kwh": round(outcome.kwh, 1),
            "saved": f"{100 * (1 - outcome.kwh / always):.0f} %",
            "waiting_s": round(outcome.totals.wait),
            "migrations": outcome.totals.migrations,
            "wakes": outcome.totals.wakes,
            "hosts_on": round(outcome.totals.host_seconds / (days * DAY), 1),
        }
        for name, outcome in outcomes.items()
    ]
    bound = bound_kwh(nodes, arrivals, days)
    return [
        *rows,
        {
            "week": kind,
            "steering": "bound",
            "kwh": round(bound, 1),
            "saved": f"{100 * (1 - bound / always):.0f} %",
        },
    ]


def _plot(title: str, outcomes: dict[str, Outcome]) -> str:
    lines = [
        Line(name, [(second / DAY, float(count)) for second, count in outcome.hosts_on])
        for name, outcome in outcomes.items()
    ]
    return svg(f"Hosts on: {title}", "days", "hosts", lines)


@click.command("advise")
@click.argument("cluster", type=int)
@click.option("--since", "days", default=30.0, show_default=True, help="Days of OpenNebula's accounting.")
@plot_option
@json_option
@front_end
def advise(context: Context, cluster: int, days: float, plot: Path | None, *, as_json: bool) -> None:
    """Play CLUSTER's own past (OpenNebula's accounting) with its policy, and say what it would have saved."""
    look = next(iter(looks(context, [cluster])))
    begin = time.time() - days * DAY
    arrivals = accounting(
        context.oned.document("vmpool.accounting", -2, int(begin), -1), cluster, begin, days * DAY
    )
    nodes = [Node(h.id, h.size, h.curve, h.record.boot_seconds) for h in look.cluster.hosts if h.size != ZERO]
    if not arrivals or not nodes:
        sys.exit(f"onext: cluster {cluster} has no accounting or no hosts with capacity in that time")
    policy = replace(look.policy, mode=Mode.AUTO, window=None, complaints=())
    outcomes = {}
    steerings: dict[str, Steering] = {"always on": AlwaysOn(), "onext": Ours(policy)}
    for name, steering in steerings.items():
        outcomes[name] = run([replace(n, guests={}) for n in nodes], arrivals, steering, days=days)
    if plot:
        plot.write_text(_plot(look.cluster.name, outcomes), encoding="utf-8")
    show(_table(look.cluster.name, nodes, arrivals, days, outcomes), COLUMNS, as_json=as_json)


@click.command("report")
@plot_option
@json_option
@front_end
def report(context: Context, plot: Path | None, *, as_json: bool) -> None:
    """Show what each cluster has saved so far, by the hosts' own records and the model."""
    rows: list[Row] = []
    for look in looks(context, ()):
        records = [host.record for host in look.cluster.hosts]
        rows.append(
            {
                "cluster": look.cluster.name,
                "hosts": len(records),
                "off_hours": round(sum(record.off_seconds for record in records) / 3600, 1),
                "saved_kwh": round(sum(record.joules for record in records) / 3.6e6, 2),
                "wakes": sum(record.wakes for record in records),
                "failed": sum(record.failed_wakes for record in records),
            }
        )
        if plot:
            bars = [(float(i), host.record.joules / 3.6e6) for i, host in enumerate(look.cluster.hosts)]
            plot.write_text(
                svg(f"Saved by host: {look.cluster.name}", "host", "kWh", [Line("saved", bars)]),
                encoding="utf-8",
            )
    show(rows, ("cluster", "hosts", "off_hours", "saved_kwh", "wakes", "failed"), as_json=as_json)
