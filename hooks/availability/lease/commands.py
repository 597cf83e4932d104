"""`onext ha arm` and `onext ha disarm`: give a host without a BMC a lease, and end it."""

from __future__ import annotations

import os
import secrets
import time
from dataclasses import replace
from pathlib import Path

import click

from hooks.availability.lease import keys
from hooks.availability.lease.grants import ARMED, Armed, Arming
from hooks.availability.lease.installer import script
from hooks.availability.lease.service import recorded
from onext import bounds
from onext.command import dry_run_option, find, front_end
from onext.oned.documents import Documents
from onext.part import Context

WAIT = 45.0  # seconds for the node's acknowledgement


@click.command("arm")
@click.argument("host")
@click.option(
    "--output",
    type=click.Path(path_type=Path, dir_okay=False),
    help="The script to write.  [default: ./onext-lease-HOST.sh]",
)
@dry_run_option
@front_end
def arm(context: Context, host: str, output: Path | None, *, dry_run: bool) -> None:
    """Write the script that root runs on HOST, so that its lease can prove its death.

    The host resets when this front-end does not grant for `availability: lease_seconds`.
    """
    found = find(context.cloud().hosts.values(), host, "host")
    documents = Documents(context.oned, ARMED, context.now)
    before = documents.get(found.id)
    if before is not None and before.value is not None and before.value.state is not Arming.ARMING:
        raise click.ClickException(f"{found.name} is {before.value.state.value}: `onext ha disarm` first")
    file = output or Path(f"onext-lease-{found.id}.sh")
    if dry_run:
        click.echo(f"{found.name}: would be recorded as about to be armed, and {file} be written")
        return
    secret = _secret(context)
    port = context.settings.availability.lease_port
    salt = secrets.token_hex(16)
    one = Armed(Arming.ARMING, bounds.words(found.name, 128), salt, secret.name, port, context.now())
    _write(file, script(found.id, secret.key(found.id, salt), port))
    documents.put(found.id, one, before.version if before else None)
    click.echo(f"{file}: copy it to {found.name} and run it there as root, then delete it in both places")


def _secret(context: Context) -> keys.Secret:
    try:
        return keys.create(context.paths)
    except keys.NoSecret as error:
        raise click.ClickException(str(error)) from error


def _write(file: Path, text: str) -> None:
    """Write a new file that only its owner reads."""
    try:
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    except OSError as error:
        raise click.ClickException(f"{file}: {error.strerror}") from error
    with os.fdopen(descriptor, "w") as stream:
        stream.write(text)


@click.command("disarm")
@click.argument("host")
@click.option("--wait", default=WAIT, show_default=True, help="Seconds to wait for the host.")
@dry_run_option
@front_end
def disarm(context: Context, host: str, wait: float, *, dry_run: bool) -> None:
    """End the lease of HOST: it proves nothing from now on, and the host runs on without grants."""
    found = find(context.cloud().hosts.values(), host, "host")
    documents = Documents(context.oned, ARMED, context.now)
    stored = documents.get(found.id)
    if stored is None:
        click.echo(f"{found.name} is not armed")
        return
    if dry_run:
        click.echo(f"{found.name}: its lease would end")
        return
    begun = stored.value is not None and recorded(context, found.id) is not None
    if stored.value is None or (stored.value.state is Arming.ARMING and not begun):
        documents.remove(found.id, stored.version)
        click.echo(f"{found.name}: it was not armed yet; its record is removed")
        return
    documents.put(found.id, replace(stored.value, state=Arming.DISARMING), stored.version)
    deadline = time.monotonic() + wait
    while time.monotonic() < deadline:
        if documents.get(found.id) is None:
            click.echo(
                f"{found.name}: disarmed; root removes the daemon there: sh FILE --remove, then reboot"
            )
            return
        time.sleep(1.0)
    raise click.ClickException(
        f"{found.name} has not acknowledged yet; its lease proves nothing any more, and it still gets grants"
    )
