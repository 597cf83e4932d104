"""`onext balance`: which VMs would move, and one round of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict

import click

from hooks.balance import gather, memory, onedrs
from hooks.balance.model import Move, Plan, Situation
from hooks.balance.plan import decide
from onext.command import dry_run_option, explain_lack, find, front_end, json_option
from onext.hosts.actions.effects import Effects
from onext.hosts.actions.world import Failed, MoveRefused
from onext.hosts.bmc.config import BmcConfig
from onext.hosts.deciders import DECIDERS, Decider, Mandate
from onext.hosts.inventory.cluster import ClusterUnreadable
from onext.oned.documents import Documents
from onext.oned.errors import OnedError
from onext.part import Context
from onext.table import show

HOLDER = "balance"
FORECASTS = (7, 0), "a forecast of use", "hosts and VMs are judged by what they use now"
LEASE = 120.0  # seconds for which no other part decides on the cluster


@click.group("balance")
def balance() -> None:
    """Move VMs away from hosts that are much more loaded than their cluster."""


@balance.command("plan")
@click.argument("cluster")
@json_option
@front_end
def plan(context: Context, cluster: str, *, as_json: bool) -> None:
    """Show which VMs of CLUSTER would move.

    CLUSTER is an id or a name. Every loaded host counts as if it had been loaded for long.
    """
    number = find(context.cloud().clusters.values(), cluster, "cluster").id
    explain_lack(context, *FORECASTS)
    settings = context.settings.balance.model_copy(update={"rounds": 1})
    found = decide(_situation(context, number), gather.limits(settings))
    _show(found, as_json=as_json)


@balance.command("run")
@dry_run_option
@front_end
def run(context: Context, *, dry_run: bool) -> None:
    """Do one round in each enabled cluster.

    Those are named in `balance: clusters:` of onext.yaml. A timer runs it, every five minutes for example.
    """
    settings = context.settings.balance
    if not settings.clusters:
        click.echo("no cluster is named in `balance: clusters:` of onext.yaml: nothing is done")
    else:
        explain_lack(context, *FORECASTS)
    for number in settings.clusters:
        click.echo(f"cluster {number}:")
        if dry_run:
            _show(decide(_situation(context, number), gather.limits(settings)), as_json=False)
        else:
            _round(context, number)


def _round(context: Context, number: int) -> None:
    with _deciding(context, number) as world:  # first: what is read before may have changed
        around = _situation(context, number)
        found = decide(around, gather.limits(context.settings.balance))
        _show(found, as_json=False)
        if found.moves and around.proposed is not None and (reason := onedrs.delete(context, number)):
            raise click.ClickException(f"cluster {number}: nothing moves: {reason}")
        times = dict.fromkeys((move.vm for move in found.moves), context.now())
        _remember(context, number, found, times)  # first: a VM whose move is not recorded would move again
        moved = {move.vm: times[move.vm] for move in found.moves if _move(world, move)}
        if moved != times:
            _remember(context, number, found, moved)


def _remember(context: Context, number: int, found: Plan, moved: Mapping[int, float]) -> None:
    try:
        memory.remember(context, number, found.past, moved)
    except OnedError as error:
        raise click.ClickException(f"cluster {number}: the round was not recorded: {error}") from error


def _situation(context: Context, number: int) -> Situation:
    try:
        return gather.situation(context, number)
    except KeyError:
        raise click.ClickException(f"cluster {number} does not exist") from None
    except ClusterUnreadable as error:
        raise click.ClickException(str(error)) from error


def _show(found: Plan, *, as_json: bool) -> None:
    rows = [asdict(move) for move in found.moves]
    if rows or as_json:
        show(rows, ("vm", "name", "source", "target", "gib", "reason"), as_json=as_json)
    else:
        click.echo(f"nothing moves: {found.held}")


@contextmanager
def _deciding(context: Context, cluster: int) -> Iterator[Effects]:
    """Hold the right to decide on a cluster: power must not empty a host that VMs are sent to."""
    raft = context.oned.raft()
    if not raft.acts:
        raise click.ClickException("this server does not lead: nothing is done")
    world = Effects(context, BmcConfig(context.paths.settings), raft.server_id, raft.term)
    documents = Documents(context.oned, DECIDERS, context.now)
    me = Decider(HOLDER, raft.server_id, raft.term, 0.0, LEASE)
    mandate = Mandate(documents, cluster, me, world.now, world.monotonic)
    try:
        mandate.hold()
        yield world
    except Failed as error:
        raise click.ClickException(str(error)) from error
    finally:
        mandate.release()


def _move(world: Effects, move: Move) -> bool:
    """Begin a migration; return whether the VM counts as moved, which it does where that is not known."""
    try:
        return world.migrate(move.vm, move.source, move.target)
    except MoveRefused as error:
        click.echo(f"VM {move.vm} ({move.name}) was refused: {error}", err=True)
    except Failed as error:
        click.echo(f"VM {move.vm} ({move.name}): {error}", err=True)
    return True
