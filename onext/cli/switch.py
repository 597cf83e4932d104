"""`onext stop` and `onext start`: freeze parts at once, also with oned down."""

from __future__ import annotations

import importlib

import click

from onext.command import front_end
from onext.part import Context
from onext.paths import Paths

# The words that people know, and the parts that they freeze. Authentication is never touched.
SWITCHES = {
    "all": "all",
    "geolocation": "geolocation",
    "targets": "targets",
    "power": "power",
    "availability": "availability",
    "events": "events",
    "tunnel": "tunnel",
}


@click.command()
@click.argument("part", type=click.Choice(sorted(SWITCHES)), default="all")
@front_end
def stop(context: Context, part: str) -> None:
    """Freeze PART, or all: what is in work is finished, nothing new is begun. Logins are not affected."""
    mark(context.paths, SWITCHES[part])
    click.echo(f"{part}: stopped on this server; `onext start {part}` resumes it")
    _tunnel(part, "off")


@click.command()
@click.argument("part", type=click.Choice(sorted(SWITCHES)), default="all")
@front_end
def start(context: Context, part: str) -> None:
    """Resume PART, or all."""
    for name in SWITCHES.values() if part == "all" else (SWITCHES[part],):
        (context.paths.stopped / name).unlink(missing_ok=True)
    click.echo(f"{part}: resumed")
    _tunnel(part, "on")


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
