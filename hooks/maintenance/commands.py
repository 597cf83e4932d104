"""`onext host`: take a host out of service for maintenance, and back."""

from __future__ import annotations

import getpass
import time

import click

from onext.cloud.model import Host
from onext.command import dry_run_option, find, front_end
from onext.hosts import maintenance
from onext.hosts.actions.effects import Effects
from onext.hosts.actions.world import Failed, MoveRefused
from onext.hosts.bmc.config import BmcConfig
from onext.hosts.flush import Flush, Step
from onext.hosts.inventory.cluster import ClusterUnreadable
from onext.hosts.inventory.current import current
from onext.hosts.model import Cluster
from onext.oned.objects import HostState
from onext.options import Group
from onext.part import Context

PAUSE = 3.0  # seconds between two checks of the VMs
CLOSED = (HostState.DISABLED, HostState.MONITORING_DISABLED, HostState.OFFLINE)


@click.group("host", cls=Group)
def host() -> None:
    """Take hosts out of service for maintenance, and back."""


@host.command("flush")
@click.argument("name", metavar="HOST")
@click.option("--undo", is_flag=True, help="Put HOST back into service; its former VMs stay where they are.")
@click.option("--parallel", default=2, show_default=True, type=click.IntRange(1, 50), help="VMs at once.")
@click.option(
    "--within", default=3600.0, show_default=True, type=click.FloatRange(0), help="Seconds for all of it."
)
@dry_run_option
@front_end
def flush(context: Context, name: str, *, undo: bool, parallel: int, within: float, dry_run: bool) -> None:
    """Empty HOST for maintenance.

    Disables HOST (id or name), moves its VMs away, live first, and reports what stays and why. Exit code 1
    when VMs stay. The host is in maintenance until --undo: availability does not fence it.
    """
    found = find(context.cloud().hosts.values(), name, "host")
    raft = context.oned.raft()
    if not raft.acts:
        raise click.ClickException("this server does not lead: run it on the leader")
    if undo:
        _undo(context, found, dry_run=dry_run)
        return
    flushing = Flush(found.id, parallel)
    world = Effects(context, BmcConfig(context.paths.settings), raft.server_id, raft.term)
    if not dry_run:
        _begin(context, found, world)
        _empty(context, found, world, flushing, context.now() + within)
    _report(context, found, flushing, dry_run=dry_run)


def _begin(context: Context, found: Host, world: Effects) -> None:
    """Write that a person takes the host, then close it: availability must know before it goes silent."""
    maintenance.begin(context, found.id, found.name, getpass.getuser(), closed=found.state in CLOSED)
    try:
        world.disable(found.id)
    except Failed as error:
        raise click.ClickException(f"{found.name} was not disabled: {error}") from error


def _empty(context: Context, found: Host, world: Effects, flushing: Flush, ends: float) -> None:
    while True:
        cluster = _cluster(context, found)
        steps = flushing.steps(cluster)
        for step in steps:
            _move(world, found, flushing, step)
        if not steps and not flushing.moving(cluster):
            return
        if context.now() >= ends:
            click.echo("the time is over: running migrations continue", err=True)
            return
        time.sleep(PAUSE)


def _move(world: Effects, found: Host, flushing: Flush, step: Step) -> None:
    try:
        begun = world.migrate(step.vm, found.id, step.target)
    except MoveRefused as error:
        flushing.refused[step.vm] = str(error)
        return
    except Failed as error:
        flushing.begun(step)  # it may have come about
        click.echo(f"VM {step.vm} ({step.name}): {error}", err=True)
        return
    flushing.begun(step)
    if begun:
        click.echo(f"VM {step.vm} ({step.name}) -> host {step.target}")


def _report(context: Context, found: Host, flushing: Flush, *, dry_run: bool) -> None:
    cluster = _cluster(context, found)
    if dry_run:
        whole = Flush(found.id, parallel=10**6)
        steps = whole.steps(cluster)
        for step in steps:
            click.echo(f"VM {step.vm} ({step.name}) would move to host {step.target}")
        stays = {vm: why for vm, why in whole.stays(cluster).items() if vm not in {s.vm for s in steps}}
    else:
        stays = dict(flushing.stays(cluster))
    names = {vm.id: vm.name for vm in cluster.vms}
    for number, why in stays.items():
        click.echo(f"VM {number} ({names[number]}) stays: {why}")
    if stays:
        raise SystemExit(1)
    if not dry_run:
        click.echo(f"{found.name} is empty and in maintenance until `onext host flush {found.name} --undo`")


def _cluster(context: Context, found: Host) -> Cluster:
    try:
        return current(context, found.cluster_id)
    except ClusterUnreadable as error:
        raise click.ClickException(str(error)) from error


def _undo(context: Context, found: Host, *, dry_run: bool) -> None:
    before = maintenance.order(context, found.id)
    if before is None:
        raise click.ClickException(f"{found.name} is not in maintenance: see `onehost enable`")
    closed = before.value is not None and before.value.closed
    if dry_run:
        click.echo(f"{found.name} would {'stay disabled, as it was before' if closed else 'be enabled'}")
        return
    if not closed:
        context.oned.call("host.status", found.id, 0)
    maintenance.end(context, found.id)
    left = "is out of maintenance, and stays disabled, as it was before: `onehost enable`"
    click.echo(f"{found.name} {left if closed else 'is back in service'}")
