"""`onext stop` and `onext start`: freeze parts at once, also with oned down."""

from __future__ import annotations

import importlib
import time

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
    "tunnel": "tunnel",
}


@click.command()
@click.argument("part", type=click.Choice(sorted(SWITCHES)), default="all")
@front_end
def stop(context: Context, part: str) -> None:
    """Freeze PART, or all: what is in work is finished, nothing new is begun. Logins go on."""
    mark(context.paths, SWITCHES[part])
    click.echo(f"{part}: stopped on this server; `onext start {part}` lets it go on")
    _tunnel(part, "off")


@click.command()
@click.argument("part", type=click.Choice(sorted(SWITCHES)), default="all")
@front_end
def start(context: Context, part: str) -> None:
    """Let PART, or all, go on."""
    for name in SWITCHES.values() if part == "all" else (SWITCHES[part],):
        (context.paths.stopped / name).unlink(missing_ok=True)
    click.echo(f"{part}: goes on" if part != "all" else "all: go on")
    _tunnel(part, "on")


def mark(paths: Paths, name: str) -> None:
    """Leave the mark that every part looks for before it begins anything."""
    paths.stopped.mkdir(parents=True, exist_ok=True)
    (paths.stopped / name).write_text(f"{int(time.time())}\n")


def _tunnel(part: str, direction: str) -> None:
    """Leave the mark on every node too, where the tunnel's part is here."""
    if part not in ("all", "tunnel"):
        return
    try:
        commands = importlib.import_module("onext.tunnel.commands")
    except ModuleNotFoundError:
        return
    click.get_current_context().invoke(commands.tunnel.commands[direction])
