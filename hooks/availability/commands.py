"""`onext ha`: what availability sees, would do, and did; confirming a death; pausing a cluster."""

from __future__ import annotations

import getpass
import json
from collections.abc import Sequence
from datetime import datetime, timezone

import click

from hooks.availability import cluster_view, collect_evidence, evidence
from hooks.availability.check import check
from hooks.availability.drill import drill
from hooks.availability.evidence import Verdict
from hooks.availability.forecast import forecast
from hooks.availability.lease.commands import arm, disarm
from hooks.availability.model import Incident
from hooks.availability.part import bmc_config, subject, timeline_folder
from hooks.availability.policy import TEMPLATE_KEY, read
from hooks.availability.records import CONFIRMATION, PAUSE
from hooks.availability.round_records import records
from hooks.availability.timeline import Timeline
from onext.command import dry_run_option, find, front_end, json_option
from onext.hosts.orders import Order
from onext.oned.documents import Documents
from onext.options import Group
from onext.part import Context
from onext.table import Row, echo, show

_SAME = 0.01  # seconds between two writings of one time


@click.group("ha", cls=Group)
def ha() -> None:
    """Fence failed hosts and restart their VMs elsewhere."""


ha.add_command(arm)
ha.add_command(disarm)
ha.add_command(drill)


@ha.command("status")
@click.argument("host", required=False)
@json_option
@front_end
def status(context: Context, host: str | None, *, as_json: bool) -> None:
    """List incidents, or show the evidence about one HOST now (id or name)."""
    if host is not None:
        _show_evidence(context, host, as_json=as_json)
        return
    kept = records(context)
    rows = [_row(one) for one in sorted(kept.incidents.values(), key=lambda one: one.first)]
    rows += [{"id": n, "phase": "invalid", "reason": text} for n, text in sorted(kept.invalid.items())]
    show(rows, ("id", "name", "phase", "since", "vms", "reason"), as_json=as_json)
    if not rows and not as_json:
        echo(
            "No incident. `onext ha check` reports for which hosts a failure would leave VMs without a host."
        )


def _row(incident: Incident) -> Row:
    settled = sum(entry.stage.value in ("running", "left", "gone") for entry in incident.entries)
    return {
        "id": incident.host,
        "name": incident.name,
        "phase": incident.phase.value,
        "since": _stamp(incident.since),
        "vms": f"{settled}/{len(incident.entries)}",
        "reason": incident.reason,
        "proof": incident.proof,
        "entries": [
            {"vm": e.vm, "stage": e.stage.value, "target": e.target, "reason": e.reason}
            for e in incident.entries
        ],
    }


def _stamp(when: float) -> str:
    return datetime.fromtimestamp(when, timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


def _show_evidence(context: Context, word: str, *, as_json: bool) -> None:
    cloud, kept = context.cloud(), records(context)
    host = find(cloud.hosts.values(), word, "host")
    found = collect_evidence.collect(
        subject(context, cloud, kept, host.id), bmc_config(context), context.settings
    )
    verdict = evidence.judge(found)
    rows = [
        {
            "source": one.source.value,
            "finding": one.finding.value,
            "detail": one.detail,
            "verified": one.verified,
        }
        for one in found
    ]
    show(rows, ("source", "finding", "detail"), as_json=as_json)
    if not as_json:
        click.echo(f"{host.name}: {verdict.verdict.value}")


ha.add_command(check)


@ha.command("plan")
@click.argument("host")
@json_option
@front_end
def plan(context: Context, host: str, *, as_json: bool) -> None:
    """Show, step by step, what would happen if HOST failed now."""
    cloud = context.cloud()
    found = find(cloud.hosts.values(), host, "host")
    policy = read(cluster_view.chosen(cloud, found.cluster_id, TEMPLATE_KEY), context.settings.availability)
    enabled = found.cluster_id in context.settings.availability.clusters
    rows = forecast(context, cloud, found.id, policy, enabled=enabled)
    show(rows, ("seconds", "step", "vm", "target", "why"), as_json=as_json)


@ha.command("confirm")
@click.argument("host")
@click.option("--name", required=True, help="The host's name, typed once more.")
@click.option("--incident", type=float, help="Only this incident: its `first` in /v1/ha of the gateway.")
@dry_run_option
@front_end
def confirm(context: Context, host: str, name: str, incident: float | None, *, dry_run: bool) -> None:
    """Confirm that HOST is off, so that its VMs may start elsewhere. Its VMs start twice if it is not."""
    cloud, kept = context.cloud(), records(context)
    found = find(cloud.hosts.values(), host, "host")
    known = kept.incidents.get(found.id)
    if name != found.name:
        raise click.UsageError(f"host {found.id} is named {found.name}, not {name}")
    if known is None:
        raise click.ClickException(f"{found.name} has no incident: nothing to confirm")
    if incident is not None and abs(known.first - incident) > _SAME:
        raise click.ClickException(f"{found.name} has another incident by now: look at it first")
    items = collect_evidence.collect(
        subject(context, cloud, kept, found.id), bmc_config(context), context.settings
    )
    judgement = evidence.judge(items)
    if judgement.verdict in (Verdict.ALIVE, Verdict.DEGRADED, Verdict.ISOLATED):
        raise click.ClickException(f"refused: {found.name} shows life: {judgement.reasons[0]}")
    effect = (
        "its VMs start only when its BMC or fence agent, which reports power now, reports off"
        if judgement.powered
        else "its VMs start elsewhere in the next round (`onext ha status`)"
    )
    if dry_run:
        click.echo(f"{found.name}: would be confirmed; {effect}")
        return
    documents = Documents(context.oned, CONFIRMATION, context.now)
    before = documents.get(found.id)
    order = Order(getpass.getuser(), context.now(), known.first)
    documents.put(found.id, order, before.version if before else None)
    click.echo(f"{found.name}: confirmed; {effect}")


@ha.command("pause")
@click.argument("cluster")
@dry_run_option
@front_end
def pause(context: Context, cluster: str, *, dry_run: bool) -> None:
    """Do nothing in CLUSTER until `onext ha resume`; what was begun is held."""
    found = find(context.cloud().clusters.values(), cluster, "cluster")
    documents = Documents(context.oned, PAUSE, context.now)
    before = documents.get(found.id)
    if dry_run:
        click.echo(f"{found.name}: would be paused{_open_here(context, found.id)}")
        return
    documents.put(found.id, Order(getpass.getuser(), context.now()), before.version if before else None)
    click.echo(f"{found.name}: paused")


def _open_here(context: Context, cluster: int) -> str:
    names = [one.name for one in records(context).incidents.values() if one.cluster == cluster]
    return f"; incidents of {', '.join(sorted(names)[:10])}" if names else ""


@ha.command("resume")
@click.argument("cluster")
@dry_run_option
@front_end
def resume(context: Context, cluster: str, *, dry_run: bool) -> None:
    """End a pause of CLUSTER."""
    found = find(context.cloud().clusters.values(), cluster, "cluster")
    documents = Documents(context.oned, PAUSE, context.now)
    before = documents.get(found.id)
    if before is None:
        click.echo(f"{found.name}: was not paused")
        return
    if dry_run:
        click.echo(f"{found.name}: would be resumed{_open_here(context, found.id)}")
        return
    documents.remove(found.id, before.version)
    click.echo(f"{found.name}: resumed")


@ha.command("history")
@click.argument("host", required=False)
@json_option
@front_end
def history(context: Context, host: str | None, *, as_json: bool) -> None:
    """Print the timelines of incidents on this server, or that of one HOST."""
    number = find(context.cloud().hosts.values(), host, "host").id if host else None
    rows = Timeline(timeline_folder(context)).entries(number)
    if as_json:
        click.echo(json.dumps(rows, indent=2))
        return
    shown = [{**row, "at": _stamp(float(str(row["at"]))), "text": "; ".join(_texts(row))} for row in rows]
    show(shown, ("at", "host", "what", "text"), as_json=False)


def _texts(row: Row) -> Sequence[str]:
    lines = row.get("lines")
    return [str(line) for line in lines] if isinstance(lines, list) else []
