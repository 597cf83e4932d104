"""What is and what is planned: nothing here changes anything."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import click

from hooks.power import part
from hooks.power.commands.resolve import cluster_id
from hooks.power.commands.scheduler_policy import placement
from hooks.power.decide import Action, Memory, PowerOff
from hooks.power.policy import Mode
from hooks.power.round_snapshot import snapshot
from hooks.power.round_state import RoundState
from onext.command import front_end, json_option
from onext.hosts.energy import JOULES_PER_KWH, sources
from onext.hosts.inventory.cluster import ClusterUnreadable
from onext.hosts.inventory.snapshot import Snapshot
from onext.hosts.model import Cluster, Host, Kind
from onext.part import Context
from onext.table import Row, echo, show
from onext.xml import Element

NARROW = ("id", "name", "state", "phase", "bmc", "proven", "wakes", "saved_kwh", "reason")
SHOWN = 4  # hosts named for each reason
RIPE = -1e12  # as if all hosts had been idle for long: `plan` shows the final state, not pauses


@click.command("plan")
@click.argument("clusters", nargs=-1)
@json_option
@front_end
def plan(context: Context, clusters: Sequence[str], *, as_json: bool) -> None:
    """Show what would be switched and moved in CLUSTERS (ids or names), and for each host why, or why not."""
    for assessment in assessments(context, clusters):
        if not as_json:
            echo("\n".join([*_headline(assessment, context), *stopped(context)]))
        show(list(_rows(assessment)), ("id", "name", "state", "vms", "then", "reason"), as_json=as_json)
        if not as_json:
            _show_moves(assessment)


def stopped(context: Context) -> Iterator[str]:
    """Yield that `onext stop` keeps power from acting, where it does."""
    if context.stopped(part.NAME):
        yield "  stopped: `onext stop` was given, nothing is done until `onext start power`"


def assessments(context: Context, clusters: Sequence[str | int]) -> Iterator[part.Assessment]:
    """Decide on each cluster as if it had been idle for long; raise UsageError when it does not exist."""
    chosen = clusters or context.settings.power.clusters
    if not chosen:
        raise click.UsageError(f"no cluster is named in `power: clusters:` of {context.paths.settings}")
    seen = snapshot(context, part.book(context))
    for cluster in [cluster_id(seen.cloud.clusters.values(), word) for word in chosen]:
        state = RoundState({cluster: Memory(dict.fromkeys(_ids(seen, cluster), RIPE))})
        try:
            yield part.assess(context, seen, cluster, state)
        except ClusterUnreadable as error:
            raise click.ClickException(str(error)) from error


def _ids(seen: Snapshot, cluster: int) -> Iterator[int]:
    return (host.id for host in seen.cloud.hosts.values() if host.cluster_id == cluster)


def next_step(assessment: part.Assessment, context: Context) -> str:
    """Return what to do next, only ever something that the settings allow and that has an effect."""
    number, settings = assessment.cluster.id, context.settings.power
    if number not in settings.clusters:
        return f": nothing is done; add {number} to `power: clusters:` of {context.paths.settings}"
    if assessment.policy.mode is Mode.AUTO:
        return ""
    if assessment.policy.mode is Mode.OFF and settings.highest_mode != "off":
        return f": nothing is done; begin with `onext power set {number} MODE=advise`"
    if settings.highest_mode != Mode.AUTO.value:
        limit = f"`power: highest_mode: {settings.highest_mode}`"
        return f": nothing is done; {limit} of {context.paths.settings} allows no more"
    return f": nothing is done; `onext power set {number} MODE=auto` does it"


def _headline(assessment: part.Assessment, context: Context) -> Iterator[str]:
    """Show before and after, what it saves and moves; then what keeps it from being done, and what to do."""
    plan = assessment.decision.plan
    on = sum(host.takes_vms for host in assessment.cluster.hosts)
    vms = sum(len(move.vms) for move in plan.moves)
    moving = f", {vms} VMs to move ({sum(move.cost for move in plan.moves):.1f} GB)" if vms else ""
    saved = f"saves {_saved(assessment)}{moving}" if plan.drains else "nothing to save"
    name = f"cluster {assessment.cluster.id} ({assessment.cluster.name})"
    yield f"{name}: {on} hosts on, {on - len(plan.drains)} needed, {saved}"
    yield f"  MODE {assessment.policy.mode.value}{next_step(assessment, context)}"
    if assessment.decision.held and assessment.policy.mode is not Mode.OFF:
        yield f"  held: {assessment.decision.held}"


def _saved(assessment: part.Assessment) -> str:
    """Show the saved watts of the hosts that leave, and the source of the figure."""
    leaving = {drain.slot for drain in assessment.decision.plan.drains}
    curves = [host.curve for host in assessment.cluster.hosts if host.id in leaving]
    return f"{sum(curve.saves for curve in curves):.0f} W (idle watts: {sources(curves)})"


def _rows(assessment: part.Assessment) -> Iterator[Row]:
    vms = assessment.cluster.by_host()
    leaving = {drain.slot for drain in assessment.decision.plan.drains}
    actions = {action.host: action for action in assessment.decision.actions}
    for host in assessment.cluster.hosts:
        yield {
            "id": host.id,
            "name": host.name,
            "state": host.phase.value if host.phase else host.state.name.lower(),
            "vms": len(vms[host.id]),
            "then": _then(host, actions.get(host.id), leaving),
            "reason": assessment.decision.reasons[host.id],
        }


def _then(host: Host, action: Action | None, leaving: set[int]) -> str:
    if isinstance(action, PowerOff) or (action is None and host.id in leaving):
        return "off"
    return type(action).__name__.lower() if action else "stays"


def _show_moves(assessment: part.Assessment) -> None:
    names = {host.id: host.name for host in assessment.cluster.hosts}
    for move in assessment.decision.plan.moves:
        vms = ", ".join(map(str, move.vms))
        echo(f"  VM {vms}: {names[move.source]} -> {names[move.target]} ({move.cost:.1f} GB)")
    for vm, reason in assessment.decision.stuck.items():
        echo(f"  VM {vm} waits too long: {reason}")


@click.command("status")
@json_option
@front_end
def status(context: Context, *, as_json: bool) -> None:
    """List every host with what is being done with it, its BMC, and a summary of its history."""
    if not as_json:
        echo("\n".join(line.strip() for line in stopped(context)))
    rows = [
        row for assessment in assessments(context, ()) for row in _state(assessment.cluster, context.now())
    ]
    columns = (
        "id",
        "name",
        "state",
        "phase",
        "bmc",
        "proven",
        "boot_s",
        "wakes",
        "failed",
        "saved_kwh",
        "idle_w",
        "by",
        "reason",
    )
    show(rows, columns, as_json=as_json, narrow=NARROW)


def _state(cluster: Cluster, now: float) -> Iterator[Row]:
    for host in cluster.hosts:
        yield {
            "id": host.id,
            "name": host.name,
            "state": host.state.name.lower(),
            "phase": host.phase.value if host.phase else "",
            "bmc": host.bmc.value,
            "proven": "yes" if host.record.proven else "no",
            "boot_s": round(host.record.boot_seconds) if host.record.proven else None,
            "wakes": host.record.wakes,
            "failed": host.record.failed_wakes,
            "saved_kwh": round(host.joules(now) / JOULES_PER_KWH, 2),
            "idle_w": round(host.curve.idle),
            "by": host.curve.source,
            "reason": (host.claim.reason if host.claim else host.excluded) or host.bmc_error,
        }


@click.command("check")
@click.argument("clusters", nargs=-1)
@front_end
def check(context: Context, clusters: Sequence[str]) -> None:
    """Show what keeps clusters from shrinking, and how new VMs are placed."""
    config = context.oned.document("system.config")
    arguments = config.findtext(".//SCHED_MAD/ARGUMENTS", "")
    for line in placement(arguments, context.paths.etc, _sizes(context.oned.document("clusterpool.info"))):
        echo(line)
    for assessment in assessments(context, clusters):
        name = f"cluster {assessment.cluster.id} ({assessment.cluster.name})"
        held = assessment.decision.held
        echo(f"{name}: {'held: ' + held if held else 'may shrink'}")
        for complaint in (*assessment.policy.complaints, *assessment.cluster.problems):
            echo(f"  {complaint}")
        for reason, names in _staying(assessment).items():
            echo(f"  {_some(names)}: {reason}")
        pending = sum(vm.kind is Kind.PENDING for vm in assessment.cluster.vms)
        missing = assessment.decision.missing_buffer
        echo(f"  {pending} VMs wait, room for {missing} VMs of the buffer is missing")


def _staying(assessment: part.Assessment) -> dict[str, list[str]]:
    """Group the hosts that stay by their reason."""
    leaving = {drain.slot for drain in assessment.decision.plan.drains}
    groups: dict[str, list[str]] = {}
    for host in assessment.cluster.hosts:
        if host.id not in leaving:
            groups.setdefault(assessment.decision.reasons[host.id], []).append(host.name)
    return groups


def _some(names: list[str]) -> str:
    return ", ".join(names[:SHOWN]) + (f" and {len(names) - SHOWN} more" if len(names) > SHOWN else "")


def _sizes(pool: Element) -> dict[str, int]:
    return {one.findtext("NAME", ""): len(one.findall("HOSTS/ID")) for one in pool.iterfind("CLUSTER")}
