"""`onext events`: what was committed, how far each sink is, dead letters, replays and snapshots."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timezone

import click

from hooks.events import filters, part
from hooks.events.database import OutboxError
from hooks.events.outbox import Outbox
from hooks.events.stored import Event
from onext.command import dry_run_option, front_end, json_option
from onext.options import Group
from onext.part import Context
from onext.settings.events import EventSink
from onext.table import Row, show

_EVERY = 1.0  # seconds between two readings of `tail --follow`


@click.group("events", cls=Group)
def events() -> None:
    """State changes of the cloud as durable events."""


@contextmanager
def _outbox(context: Context) -> Iterator[Outbox]:
    try:
        outbox = Outbox(part.file(context))
        try:
            yield outbox
        finally:
            outbox.close()
    except OutboxError as error:
        raise click.ClickException(str(error)) from error


def _sink(context: Context, name: str) -> EventSink:
    """Return a configured sink; raise UsageError."""
    known = {sink.name: sink for sink in context.settings.events.sinks}
    if name not in known:
        names = ", ".join(known) or "none is configured"
        raise click.UsageError(f"no sink {name!r} in `events: sinks:` ({names})")
    return known[name]


@events.command("status")
@json_option
@front_end
def status(context: Context, *, as_json: bool) -> None:
    """Show how far each sink is, and why one is not served."""
    with _outbox(context) as outbox:
        rows = [_state(context, outbox, sink) for sink in context.settings.events.sinks]
    show(rows, ("sink", "sent", "waiting", "dead", "next", "problem"), as_json=as_json)
    if not rows and not as_json:
        click.echo("No sink is configured: `events: sinks:` of onext.yaml")


def _state(context: Context, outbox: Outbox, sink: EventSink) -> Row:
    state = outbox.sink(sink.name)
    return {
        "sink": sink.name,
        "sent": state.acknowledged,
        "waiting": state.lag,
        "dead": len(outbox.dead(sink.name)),
        "failures": state.failures,
        "next": _stamp(state.next) if state.next > context.now() else "",
        "problem": state.stopped or state.problem,
    }


def _stamp(when: float) -> str:
    return datetime.fromtimestamp(when, timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


@events.command("tail")
@click.option("--since", type=click.IntRange(min=0), help="Number of the outbox to begin behind.")
@click.option("--follow", is_flag=True, help="Wait for further events.")
@json_option
@front_end
def tail(context: Context, since: int | None, *, follow: bool, as_json: bool) -> None:
    """Print committed events: the last twenty, or those behind a number."""
    with _outbox(context) as outbox:
        number = max(0, outbox.newest() - 20) if since is None else since
        while True:
            found = outbox.since(number)
            for event in found:
                click.echo(json.dumps(_document(event)) if as_json else _line(event))
                number = event.number
            if not found and not follow:
                return
            if not found:
                time.sleep(_EVERY)


def _document(event: Event) -> Row:
    return {
        "number": event.number,
        "id": event.id,
        "type": event.type,
        "subject": str(event.subject),
        "time": _stamp(event.time),
        "late": event.late,
        "data": dict(event.facts),
        "before": dict(event.before),
    }


def _line(event: Event) -> str:
    kind = event.type.rpartition(".")[2]
    changed = ", ".join(f"{key}: {old} -> {event.facts.get(key)}" for key, old in event.before.items())
    name = event.facts.get("name", "")
    return (
        f"{event.number:8d}  {_stamp(event.time)}  {event.subject!s:14} {kind:9} {name}  {changed}".rstrip()
    )


@events.group("dead")
def dead() -> None:
    """Events that a sink refused permanently."""


@dead.command("list")
@click.argument("sink")
@json_option
@front_end
def dead_list(context: Context, sink: str, *, as_json: bool) -> None:
    """List the dead letters of SINK."""
    _sink(context, sink)
    with _outbox(context) as outbox:
        rows = [{**_document(event), "reason": reason} for event, reason in outbox.dead(sink)]
    show(rows, ("number", "time", "subject", "type", "reason"), as_json=as_json)


@dead.command("retry")
@click.argument("sink")
@dry_run_option
@front_end
def dead_retry(context: Context, sink: str, *, dry_run: bool) -> None:
    """Send the dead letters of SINK again, behind all other events."""
    _sink(context, sink)
    with _outbox(context) as outbox:
        if dry_run:
            click.echo(f"{sink}: would queue {len(outbox.dead(sink))} events again")
            return
        click.echo(f"{sink}: {outbox.revive(sink)} events are queued again")


@dead.command("drop")
@click.argument("sink")
@click.option("--yes", is_flag=True, help="Do not ask.")
@dry_run_option
@front_end
def dead_drop(context: Context, sink: str, *, yes: bool, dry_run: bool) -> None:
    """Delete the dead letters of SINK."""
    _sink(context, sink)
    with _outbox(context) as outbox:
        if dry_run:
            click.echo(f"{sink}: would delete {len(outbox.dead(sink))} events")
            return
        if not yes:
            click.confirm("Delete the dead letters of this sink?", abort=True)
        click.echo(f"{sink}: {outbox.discard(sink)} events deleted")


@events.command("resume")
@click.argument("sink")
@dry_run_option
@front_end
def resume(context: Context, sink: str, *, dry_run: bool) -> None:
    """Serve SINK again after it stopped, or at once instead of at its next attempt."""
    _sink(context, sink)
    with _outbox(context) as outbox:
        if dry_run:
            state = outbox.sink(sink)
            click.echo(
                f"{sink}: would resume ({state.stopped or 'it is not stopped'}), {state.lag} events wait"
            )
            return
        outbox.resume(sink)
        click.echo(f"{sink}: resumed, {outbox.sink(sink).lag} events wait")


@events.command("replay")
@click.argument("sink")
@click.option(
    "--from", "first", type=click.IntRange(min=1), required=True, help="First number to send again."
)
@dry_run_option
@front_end
def replay(context: Context, sink: str, first: int, *, dry_run: bool) -> None:
    """Send SINK its events again from a number on, as far as they are kept."""
    _sink(context, sink)
    with _outbox(context) as outbox:
        if dry_run:
            click.echo(f"{sink}: would send {outbox.replayable(sink, first)} events again")
            return
        click.echo(f"{sink}: {outbox.replay(sink, first)} events are sent again")


@events.command("snapshot")
@click.argument("sinks", nargs=-1, required=True)
@click.option("--hourly", is_flag=True, help="Refuse a second one within an hour, as to receivers that ask.")
@dry_run_option
@front_end
def snapshot(context: Context, sinks: Sequence[str], *, hourly: bool, dry_run: bool) -> None:
    """Send SINKS the whole state, so that a receiver with a wrong one converges."""
    chosen = [_sink(context, name) for name in sinks]
    with _outbox(context) as outbox:
        for sink in chosen:
            if hourly and (wait := outbox.wait(sink.name, context.now())):
                raise click.ClickException(
                    f"{sink.name}: one snapshot an hour is sent on request, the next in {wait / 60:.0f} min"
                )
            if dry_run:
                objects = sum(not one.gone for one in outbox.known().values())
                click.echo(f"{sink.name}: would queue a snapshot of at most {objects} objects")
                continue
            count = outbox.snapshot(sink.name, filters.accepts(sink), f"m{int(context.now())}", context.now())
            if hourly:
                outbox.grant(sink.name, context.now())
            click.echo(f"{sink.name}: a snapshot of {count - 2} objects is queued")
