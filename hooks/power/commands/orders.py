"""What changes something: a round, the policy, and hosts by hand."""

from __future__ import annotations

import base64
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from typing import IO

import click

from hooks.power import manual_orders, part
from hooks.power.commands.resolve import cluster_id, host_id
from hooks.power.policy import TEMPLATE_KEY, check
from hooks.power.round_snapshot import snapshot
from hooks.power.round_state import RoundState
from onext.command import dry_run_option, front_end
from onext.hosts.actions.actuator import Actuator, Leases, Limits
from onext.hosts.actions.effects import Effects
from onext.hosts.actions.fence import NotFenced, fence, require_fenceable
from onext.hosts.actions.world import Failed, Stopped
from onext.hosts.inventory.cluster import ClusterUnreadable, chosen
from onext.hosts.notify import teller
from onext.hosts.placement.problem import Move
from onext.part import Context
from onext.xml import MalformedXML, parse

PAUSE = 3.0  # seconds between two checks of a manual order
LARGEST_TEMPLATE = 16 << 20  # bytes on standard input
PATIENCE = 120.0  # seconds for a round of the worker to end


@click.command("run")
@dry_run_option
@front_end
def run_round(context: Context, *, dry_run: bool) -> None:
    """Do one round now, as the worker does each minute."""
    if dry_run:
        for line in _due(context):
            click.echo(line)
        return
    keys = list(part.sweep(context))
    click.echo(part.reconcile(context, keys) or "no cluster is named in `power: clusters:`")


def _due(context: Context) -> Iterator[str]:
    """Yield what a round would do now, by what the last one remembered."""
    state = RoundState()
    state.load(context.paths.state)
    seen = snapshot(context, part.book(context))
    for number in context.settings.power.clusters:
        try:
            found = part.assess(context, seen, number, state)
        except (KeyError, ClusterUnreadable) as error:
            yield f"cluster {number} not found" if isinstance(error, KeyError) else str(error)
            continue
        names = {host.id: host.name for host in found.cluster.hosts}
        for action in found.decision.actions:
            what = type(action).__name__.lower()
            yield f"{found.cluster.name}: would {what} host {names[action.host]}: {action.reason}"
        if not found.decision.actions:
            yield f"{found.cluster.name}: would do nothing{_held(found.decision.held)}"


def _held(reason: str) -> str:
    return f" (held: {reason})" if reason else ""


@click.command("set")
@click.argument("cluster")
@click.argument("changes", nargs=-1, required=True, metavar="KEY=VALUE...")
@dry_run_option
@front_end
def set_policy(context: Context, cluster: str, changes: Sequence[str], *, dry_run: bool) -> None:
    """Change the policy of CLUSTER (id or name), such as MODE=auto PACK=yes; KEY= removes a key."""
    cloud = context.cloud()
    number = cluster_id(cloud.clusters.values(), cluster)
    try:
        before = chosen(cloud, number, TEMPLATE_KEY)
    except ClusterUnreadable as error:
        raise click.ClickException(str(error)) from error
    after = {**before, **dict(_pair(change) for change in changes)}
    after = {key: value for key, value in after.items() if value}
    if complaints := check(after, context.settings.power):
        raise click.UsageError("; ".join(complaints))
    if not dry_run:
        context.oned.update_cluster(number, {TEMPLATE_KEY: after or None})
    policy = " ".join(f"{key}={value}" for key, value in sorted(after.items())) or "defaults"
    click.echo(f"cluster {number}: {'would be set to ' if dry_run else ''}{policy}")
    if number not in context.settings.power.clusters:
        where = f"`power: clusters:` of {context.paths.settings}"
        click.echo(f"onext: warning: this has no effect until {where} names cluster {number}", err=True)


def _pair(text: str) -> tuple[str, str]:
    key, sign, value = text.partition("=")
    if not sign or not key.strip():
        raise click.UsageError(f"{text!r} is not KEY=VALUE")
    return key.strip().upper(), value.strip()


@click.command("off")
@click.argument("host")
@click.option("--evacuate", is_flag=True, help="Migrate its VMs away first.")
@dry_run_option
@front_end
def switch_off(context: Context, host: str, *, evacuate: bool, dry_run: bool) -> None:
    """Empty HOST (id or name) and switch it off; it stays off until `onext power on`."""
    if dry_run:
        _would(context, host, lambda order: _emptied(order, manual_orders.emptying(order, evacuate=evacuate)))
        return
    _followed(context, host, lambda order: manual_orders.switch_off(order, evacuate=evacuate))


@click.command("on")
@click.argument("host")
@dry_run_option
@front_end
def switch_on(context: Context, host: str, *, dry_run: bool) -> None:
    """Wake HOST (id or name) and enable it."""
    if dry_run:
        _would(context, host, _woken)
        return
    _followed(context, host, manual_orders.switch_on)


@click.command("enroll")
@click.argument("host")
@dry_run_option
@front_end
def enroll(context: Context, host: str, *, dry_run: bool) -> None:
    """Prove on the empty HOST that its BMC switches it off and on again; needed for MODE = auto."""
    if dry_run:
        _would(context, host, _enrolled)
        return
    _followed(context, host, manual_orders.enroll)


def _would(context: Context, host: str, describe: Callable[[manual_orders.Order], str]) -> None:
    """Print what an order would do; exit 1 when it is refused."""
    try:
        order = manual_orders.Order.of(context, host_id(context, host))
        click.echo(f"{order.host.name}: {describe(order)}")
    except (manual_orders.Refused, Failed) as error:
        sys.exit(f"onext: {error}")


def _emptied(order: manual_orders.Order, moves: Sequence[Move]) -> str:
    names = {host.id: host.name for host in order.assessment.cluster.hosts}
    vms = "".join(f"migrate VM {vm} to {names[move.target]}, " for move in moves for vm in move.vms)
    return f"would {vms}disable the host, and power it off"


def _woken(order: manual_orders.Order) -> str:
    manual_orders.require_ours(order)
    return "would be powered on and enabled"


def _enrolled(order: manual_orders.Order) -> str:
    manual_orders.require_empty(order)
    manual_orders.emptying(order, unproven=True)
    return "would be powered off by its BMC, and on again"


def _followed(context: Context, host: str, what: Callable[[manual_orders.Order], Iterator[str]]) -> None:
    """Carry an order out and tell its progress, each thing once; exit 1 when it is refused."""
    said = ""
    try:
        order = manual_orders.Order.of(context, host_id(context, host))
        for line in _turns(context, what(order), order.actuator):
            if line != said:
                click.echo(f"{host}: {line}")
            said = line
    except (manual_orders.Refused, Failed) as error:
        sys.exit(f"onext: {error}")
    except Stopped:
        sys.exit("onext: stopped by `onext stop power`")


def _turns(context: Context, steps: Iterator[str], actuator: Actuator) -> Iterator[str]:
    """Take one step at a time: between them the worker has its rounds, and wakes what is needed."""
    while True:
        with part.alone(context, patience=PATIENCE):
            try:
                line = next(steps, None)
            finally:
                actuator.release_mandate()
        if line is None:
            return
        yield line
        time.sleep(PAUSE)


@click.command("fence")
@click.argument("host", required=False)
@click.option(
    "--template", type=click.File("rb"), help="Take HOST from its template in base64; - is standard input."
)
@click.option("--within", default=60.0, show_default=True, help="Seconds until its BMC must report off.")
@dry_run_option
@front_end
def fence_host(
    context: Context, host: str | None, template: IO[bytes] | None, within: float, *, dry_run: bool
) -> None:
    """Switch off HOST (id or name), which oned has in ERROR; exit 0 only when its BMC has reported it off."""
    number = host_id(context, host) if host and not template else _template_id(template)
    raft = context.oned.raft()
    if not raft.acts:
        sys.exit("onext: not fenced: this server does not lead")
    world = Effects(context, part.book(context), raft.server_id, raft.term, part.access(context))
    settings = context.settings.power
    actuator = Actuator(world, Limits(lease=settings.lease), Leases(), teller(settings, ""))
    try:
        if dry_run:
            click.echo(f"{require_fenceable(actuator, number).name}: would be powered off hard")
            return
        click.echo(fence(actuator, number, within))
    except (NotFenced, Failed) as error:
        sys.exit(f"onext: not fenced: {error}")
    except Stopped:
        sys.exit("onext: not fenced: stopped by `onext stop power`")


def _template_id(template: IO[bytes] | None) -> int:
    try:
        data = base64.b64decode(template.read(LARGEST_TEMPLATE).strip() if template else b"", validate=True)
        return int(parse(data).findtext("ID", ""))
    except (ValueError, MalformedXML):
        raise click.UsageError("the id or name of a host is needed, or its template in base64") from None
