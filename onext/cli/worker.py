"""`onext worker` and `onext sync`."""

from __future__ import annotations

import logging
import sys
from dataclasses import replace

import click

from onext import log, spool
from onext.command import dry_run_option, front_end
from onext.part import Context
from onext.worker.deliveries import whole
from onext.worker.main import AlreadyRunning, work
from onext.worker.registry import installed


@click.command()
@click.option("--until-idle", is_flag=True, help="End when the queue is empty.")
@click.option("--debug", is_flag=True, help="Log more.")
@front_end
def worker(context: Context, *, until_idle: bool, debug: bool) -> None:
    """Handle the events that hooks left in the spool, and make a round once a minute. One per server."""
    level = logging.DEBUG if debug else logging.INFO
    log.open_log(context.paths.log, level=level, stderr=sys.stderr.isatty())
    try:
        work(replace(context, patience=None), until_idle=until_idle)
    except AlreadyRunning as error:
        click.echo(f"{error}; see `onext status`", err=True)


@click.command()
@dry_run_option
@front_end
def sync(context: Context, *, dry_run: bool) -> None:
    """Let the worker bring every object of every part up to date now."""
    folder = str(context.paths.spool)
    for part in installed():
        keys = sorted({whole(part, key) for key in part.sweep(context)})
        for key in keys if not dry_run else []:
            spool.put(folder, *key)
        what = "everything" if part.whole_pool and keys else f"{len(keys)} objects"
        click.echo(f"{part.name}: {what} to bring up to date")
    if not dry_run and not spool.wake(folder):
        click.echo(
            "no worker runs: start it with `systemctl start onext-worker`, or `onext worker`", err=True
        )
        sys.exit(1)
