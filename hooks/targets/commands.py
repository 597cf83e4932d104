"""`onext targets`: what Prometheus scrapes, what it refuses and why, and writing the files by hand."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from hooks.targets import files
from hooks.targets.decide import Decision
from hooks.targets.inventory import Inventory
from hooks.targets.part import folder, plan, sync
from onext import readable
from onext.command import dry_run_option, front_end, json_option
from onext.oned.errors import OnedError
from onext.options import Group
from onext.part import Context
from onext.table import Row, show


@click.group("targets", cls=Group)
def targets() -> None:
    """Show and update what Prometheus scrapes."""


@targets.command("list")
@json_option
@front_end
def list_targets(context: Context, *, as_json: bool) -> None:
    """List every target, and every one that is refused with its reason."""
    show(rows(_ask(context)[1]), ("job", "target", "vm", "host", "state"), as_json=as_json)


@targets.command("sync")
@dry_run_option
@front_end
def write(context: Context, *, dry_run: bool) -> None:
    """Write the files now."""
    if dry_run:
        _, decision = _ask(context)
        stale = ", ".join(f"{job}.json" for job in _stale(decision, folder(context)))
        click.echo(f"would write {stale or 'nothing: all files are up to date'} in {folder(context)}")
        return
    try:
        decision, changed = sync(context)
    except (OnedError, OSError, files.Busy) as error:
        raise click.ClickException(str(error)) from error
    click.echo(
        f"{len(decision.targets)} targets, {len(decision.refusals)} refused;"
        f" changed: {', '.join(changed) or 'nothing'} in {folder(context)}"
    )


@targets.command("check")
@click.option("--user", help="The user that Prometheus runs as; default: the settings'.")
@front_end
def check(context: Context, user: str | None) -> None:
    """Report whether the files are up to date and readable for Prometheus's user; exit 1 if not."""
    _, decision = _ask(context)
    path = folder(context)
    stale = _stale(decision, path)
    for job in stale:
        click.echo(f"{path}/{job}.json is not up to date: run `onext targets sync`")
    user = user or context.settings.targets.prometheus_user
    hidden = readable.hidden_from(path, user)
    if hidden:
        click.echo(f"{user}: {hidden}")
    if stale or hidden:
        sys.exit(1)
    click.echo(f"{path}: up to date, and {user} can read it")


def _stale(decision: Decision, path: Path) -> list[str]:
    """Return the jobs whose files are not up to date."""
    return [job for job in decision.jobs if _content(path / f"{job}.json") != files.text(decision, job)]


def rows(decision: Decision) -> list[Row]:
    """Return a row for each target and refusal."""
    accepted = [
        {
            "job": target.job,
            "target": target.address,
            "vm": target.labels.get("one_vm_id"),
            "host": target.labels.get("one_host_id"),
            "state": "scraped",
            "labels": target.labels,
        }
        for target in decision.targets
    ]
    refused = [
        {"job": "vms", "vm": str(one.vm), "user": one.user, "state": f"refused: {one.reason}"}
        for one in decision.refusals
    ]
    return [*accepted, *refused]


def _ask(context: Context) -> tuple[Inventory, Decision]:
    try:
        return plan(context)
    except OnedError as error:
        raise click.ClickException(str(error)) from error


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""
