"""`onext stop` and `onext start`: freeze parts at once, also with oned down."""

from __future__ import annotations

import importlib

import click

from onext.command import dry_run_option, front_end
from onext.part import Context
from onext.paths import Paths
from onext.worker.registry import PARTS

# What can be frozen. Authentication is never touched.
SWITCHES = ("all", *PARTS, "tunnel")


@click.command()
@click.argument("part", type=click.Choice(sorted(SWITCHES)), default="all")
@dry_run_option
@front_end
def stop(context: Context, part: str, *, dry_run: bool) -> None:
    """Freeze PART, or all: begun work is finished, no new work begins. Logins are not affected."""
    if dry_run:
        click.echo(f"would stop {part} on this server{_nodes(part)}, with {context.paths.stopped / part}")
        return
    mark(context.paths, part)
    click.echo(f"{part}: stopped on this server; `onext start {part}` resumes it")
    _tunnel(part, "off")


@click.command()
@click.argument("part", type=click.Choice(sorted(SWITCHES)), default="all")
@dry_run_option
@front_end
def start(context: Context, part: str, *, dry_run: bool) -> None:
    """Resume PART, or all."""
    names = SWITCHES if part == "all" else (part,)
    stopped = [name for name in names if (context.paths.stopped / name).exists()]
    if dry_run:
        click.echo(f"would resume {', '.join(stopped) or 'nothing, none is stopped'}{_nodes(part)}")
        return
    for name in stopped:
        (context.paths.stopped / name).unlink(missing_ok=True)
    click.echo(f"{part}: resumed")
    if part not in ("all", "tunnel") and (context.paths.stopped / "all").exists():
        click.echo("all parts are stopped: `onext start` resumes them")
    _tunnel(part, "on")


def _nodes(part: str) -> str:
    return " and on every node" if part in ("all", "tunnel") else ""


def mark(paths: Paths, name: str) -> None:
    """Leave the mark that every part checks before it begins anything; an empty file, for a full disk too."""
    paths.stopped.mkdir(parents=True, exist_ok=True)
    (paths.stopped / name).touch()


def _tunnel(part: str, direction: str) -> None:
    """Leave the mark on every node too, where the tunnel's part is here."""
    if part not in ("all", "tunnel"):
        return
    try:
        commands = importlib.import_module("onext.tunnel.commands")
    except ModuleNotFoundError:
        return
    click.get_current_context().invoke(commands.tunnel.commands[direction])
