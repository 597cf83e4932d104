"""What it would bring: simulation of synthetic weeks, and of the cluster's own past."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from hooks.power import part
from hooks.power.commands.resolve import plot_file, write_plot
from hooks.power.commands.show import assessments, next_step
from hooks.power.commands.time_span import seconds
from hooks.power.history import accounting, known
from hooks.power.policy import Mode, Policy
from hooks.power.simulate.plot import Line, Panel, svg
from hooks.power.simulate.run import Outcome, bound_kwh, fleet, run
from hooks.power.simulate.steering import AlwaysOn, Ours, Scripts, Steering
from hooks.power.simulate.weeks import DAY, SHAPES, Arrival, week
from hooks.power.simulate.world import Node
from onext.command import front_end, json_option
from onext.hosts.placement.problem import ZERO
from onext.part import Context
from onext.table import Row, echo, show


class Share(click.FloatRange):
    """A number within a range; click takes nan for one."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:  # noqa: ANN401
        """Return the number; fail for what is not one."""
        number = super().convert(value, param, ctx)
        if math.isnan(number):
            self.fail(f"{value} is not a number", param, ctx)
        return number


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
HOSTS, SPAN, PEAK = click.IntRange(1, 2000), Share(1 / 24, 366), Share(0.01, 1.0)
PACKED = "with PACK=yes"
SHORTEST = 3600.0  # shortest useful history, in seconds
LEAST = 0.02  # of the energy: less is not worth the change
plot_option = click.option(
    "--plot",
    type=click.Path(path_type=Path),
    callback=plot_file,
    help="Write an SVG of the hosts that are on (several weeks: FILE-WEEK.svg each).",
)


@click.command("simulate")
@click.option("--hosts", type=HOSTS, default=24, show_default=True, help="Hosts of the cluster.")
@click.option(
    "--days",
    type=SPAN,
    default=7.0,
    show_default=True,
    help="Length of the simulation.",
)
@click.option("--week", "kinds", type=click.Choice(sorted(SHAPES)), multiple=True, help="Only these weeks.")
@click.option(
    "--peak",
    type=PEAK,
    default=0.75,
    show_default=True,
    help="Share of the memory in use at the peak.",
)
@click.option("--seed", default=1, show_default=True, help="Seed of the random load.")
@plot_option
@json_option
def simulate(
    hosts: int, days: float, kinds: Sequence[str], peak: float, seed: int, plot: Path | None, *, as_json: bool
) -> None:
    """Play synthetic weeks: onext's decisions, common scripts, always on, and the theoretical bound."""
    rows: list[Row] = []
    for kind in kinds or sorted(SHAPES):
        capacity = sum((node.size for node in fleet(hosts)), ZERO)
        arrivals = week(kind, capacity, peak, seed, days)
        steerings: dict[str, Steering] = {
            "always on": AlwaysOn(),
            "scripts": Scripts(),
            "onext": Ours(SIMULATED),
        }
        outcomes = _play(fleet(hosts), arrivals, days, steerings, kind)
        rows += _table(kind, fleet(hosts), arrivals, days, outcomes)
        if plot:
            file = plot if len(kinds) == 1 else plot.with_stem(f"{plot.stem}-{kind}")
            write_plot(file, _plot(kind, outcomes))
    show(rows, COLUMNS, as_json=as_json)


def _play(
    nodes: list[Node],
    arrivals: list[Arrival],
    days: float,
    steerings: Mapping[str, Steering],
    title: str,
) -> dict[str, Outcome]:
    outcomes = {}
    for name, steering in steerings.items():
        bar = click.progressbar(length=round(days * DAY), label=f"{title}, {name}", file=sys.stderr)
        with bar if sys.stderr.isatty() else nullcontext() as shown:
            progress = (
                (lambda passed, shown=shown: shown.update(round(passed))) if shown else (lambda _: None)
            )
            fresh = [replace(node, vms={}) for node in nodes]
            outcomes[name] = run(fresh, arrivals, steering, days=days, progress=progress)
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
    return svg(f"Hosts on: {title}", "days", [Panel("hosts", lines, whole=True)])


@click.command("advise")
@click.argument("cluster")
@click.option(
    "--since",
    "span",
    callback=seconds,
    default="30d",
    show_default=True,
    metavar="30d|2026-11-01",
    help="Start of the accounting that is replayed.",
)
@plot_option
@json_option
@front_end
def advise(context: Context, cluster: str, span: float, plot: Path | None, *, as_json: bool) -> None:
    """Replay CLUSTER's (id or name) accounting with its policy, and report what it would have saved."""
    assessment = next(iter(assessments(context, [cluster])))
    number = assessment.cluster.id
    begin = time.time() - span
    records = context.oned.document("vmpool.accounting", -2, int(begin), -1)
    arrivals, span = known(accounting(records, number, begin, span), span)
    days = span / DAY
    nodes = [
        Node(h.id, h.size, h.curve, h.record.boot_seconds) for h in assessment.cluster.hosts if h.size != ZERO
    ]
    if not arrivals or not nodes:
        sys.exit(
            f"onext: cluster {cluster} has no VMs in OpenNebula's accounting of that time, or no hosts on"
        )
    if span < SHORTEST:
        sys.exit(f"onext: the past of cluster {cluster} is {span / 60:.0f} minutes long: ask again in a day")
    name = assessment.cluster.name
    outcomes = _play(nodes, arrivals, days, dict(_choices(assessment)), name)
    if plot:
        write_plot(plot, _plot(name, outcomes))
    show(_table(name, nodes, arrivals, days, outcomes), COLUMNS, as_json=as_json)
    if not as_json:
        echo(_verdict(assessment, context, outcomes, days))


def _choices(assessment: part.Assessment) -> Iterator[tuple[str, Steering]]:
    """Give the cluster's own policy acting by itself, and the same with packing where it does not pack."""
    policy = replace(assessment.policy, mode=Mode.AUTO, window=None, complaints=())
    yield "always on", AlwaysOn()
    yield "as it is set", Ours(policy, flavours=assessment.cluster.flavours)
    if not policy.pack:
        yield PACKED, Ours(replace(policy, pack=True), flavours=assessment.cluster.flavours)


def _verdict(
    assessment: part.Assessment, context: Context, outcomes: Mapping[str, Outcome], days: float
) -> str:
    """Return in words what is worth doing, and what the settings let one do."""
    always = outcomes["always on"].kwh
    name, best = min(outcomes.items(), key=lambda item: item[1].kwh)
    words = "MODE=auto PACK=yes" if name == PACKED else "MODE=auto"
    saved = (
        f"{always - best.kwh:.0f} kWh of {always:.0f} in {days:.1f} days, {best.totals.migrations} migrations"
    )
    note = "requirements, pins and windows are not played"
    if always - best.kwh < LEAST * always:
        return f"there was next to nothing to save ({saved}; {note})"
    if assessment.cluster.id not in context.settings.power.clusters or (
        words.startswith("MODE=auto") and (context.settings.power.highest_mode != Mode.AUTO.value)
    ):
        return f"worth it: {saved} ({note}){next_step(assessment, context)}"
    cluster = assessment.cluster.id
    return f"worth it: {saved} ({note}): `onext power set {cluster} {words}`, then `onext power plan`"
