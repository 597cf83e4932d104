"""`onext edge rotate` and `reset`: other keys in the place of those that are there."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import click

from hooks.edge import office, resetting, rotation
from hooks.edge.office import NotReady
from hooks.edge.records import Book
from hooks.edge.secrets import Secrets, SecretsError
from onext.command import dry_run_option, echo_json, front_end, json_option
from onext.part import Context


@contextmanager
def expected_errors() -> Iterator[None]:
    """Print an error that is expected as one line."""
    try:
        yield
    except (SecretsError, NotReady) as error:
        raise click.ClickException(str(error)) from error


@click.command()
@click.argument("key", type=click.Choice(sorted(rotation.EFFECTS)))
@click.option("--force", is_flag=True, help="Go on though the zone's other servers do not take the key.")
@json_option
@dry_run_option
@front_end
def rotate(context: Context, key: str, *, force: bool, as_json: bool, dry_run: bool) -> None:
    """Replace a KEY while nodes stay; docs/edge.md has what each is for."""
    with expected_errors():
        office.zone_of(Book.of(context.oned).view())
        if not dry_run:
            rotation.rotate(context, key, force=force)
    effect = rotation.EFFECTS[key]
    if as_json:
        echo_json({"key": key, "effect": effect, "done": not dry_run})
    elif dry_run:
        click.echo(f"would rotate {key}: {effect}")
    else:
        click.echo(f"{effect}\nBack up {Secrets.of(context.paths).folder}.")


@click.command()
@click.option("--yes", is_flag=True, help="Do not ask.")
@json_option
@dry_run_option
@front_end
def reset(context: Context, *, yes: bool, as_json: bool, dry_run: bool) -> None:
    """Remove all keys and records, so that `init` begins anew: all nodes must join anew."""
    planned = resetting.plan(context)
    lines = planned.lines()
    if lines and not dry_run:
        if not yes:
            click.confirm("\n".join([*lines, "All nodes must join anew. Go on?"]), abort=True, err=True)
        resetting.carry_out(context)
    if as_json:
        echo_json({"steps": lines, "hosts": dict(planned.hosts), "done": not dry_run})
        return
    for line in lines or ["nothing to do: no keys and no records were found"]:
        click.echo(f"would {line}" if dry_run and lines else line)
    for name, number in sorted(planned.hosts.items()):
        click.echo(f"host {number} ({name}) stays: `onehost delete {number}` before {name} joins again")
