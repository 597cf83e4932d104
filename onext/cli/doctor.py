"""`onext doctor`: one line for each thing that must be as it should."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterable, Iterator
from importlib import resources

import click

from onext import spool, ssh
from onext.cli import servers
from onext.command import front_end, json_option
from onext.oned.errors import OnedError
from onext.part import Check, Context
from onext.settings import SettingsError
from onext.table import show
from onext.worker import heartbeat
from onext.worker.registry import installed


@click.command()
@click.option("--node", metavar="HOST", help="Check a node instead: can its power be measured?")
@click.option("--local", is_flag=True, help="This server only, not the others of the zone.")
@json_option
@front_end
def doctor(context: Context, *, node: str | None, local: bool, as_json: bool) -> None:
    """Check what is installed, registered, reachable and up to date. Exit code 1 when something is not."""
    if node is not None:
        sys.exit(_node(node))
    found = list(findings(context, local=local))
    rows = [{"check": c.name, "state": c.level, "message": c.message, "remedy": c.remedy} for c in found]
    show(rows, ("check", "state", "message", "remedy"), as_json=as_json)
    sys.exit(any(check.level == "fail" for check in found))


def findings(context: Context, *, local: bool) -> Iterator[Check]:
    """Look at everything, the foundations first; what cannot be looked at is a finding too."""
    try:
        settings = context.settings
    except SettingsError as error:
        yield Check("settings", "fail", str(error), f"mend {context.paths.settings}")
        return
    yield Check("settings", "ok", f"{context.paths.settings} ({len(settings.model_fields_set)} sections set)")
    yield from _oned(context)
    yield _worker(context)
    yield from _installation(context)
    for name, checks in _parts(context, local=local):
        for check in _guarded(name, checks):
            yield Check(f"{name}: {check.name}", check.level, check.message, check.remedy)
    if not local:
        yield from _guarded("servers", servers.findings(context))


def _parts(context: Context, *, local: bool) -> Iterator[tuple[str, Iterable[Check]]]:
    """Return what every part that is here has to say, the drivers too."""
    for part in installed():
        yield part.name, part.checks(context)
    yield "biscuit", importlib.import_module("onext.biscuit.check").findings(context, local=local)
    if not local:
        yield "tunnel", importlib.import_module("onext.tunnel.drivers").checks(context)


def _node(name: str) -> int:
    """Run the node's own check there, by ssh, and pass on what it says."""
    package = importlib.import_module("exporter.scaphandre")
    program = resources.files(package).joinpath("node.py").read_bytes()
    try:
        said = ssh.run(name, ["python3", "-", "check"], timeout=30, input=program, check=False)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--node") from error
    click.echo((said.stdout + said.stderr).decode("utf-8", "replace"), nl=False)
    return said.exit_code


def _oned(context: Context) -> Iterator[Check]:
    try:
        raft = context.oned.raft()
        yield Check("oned", "ok", f"{context.oned.version()} at {context.oned.endpoint}, {raft.state.name}")
    except OnedError as error:
        yield Check("oned", "fail", str(error), "hooks go on filling the spool; nothing is lost")


def _worker(context: Context) -> Check:
    if spool.wake(str(context.paths.spool)):
        age = heartbeat.age(context.paths)
        if age is None or age <= heartbeat.LATE:
            return Check("worker", "ok", "runs")
        return Check(
            "worker", "fail", f"does not respond since {age:.0f} s", "systemctl restart onext-worker"
        )
    return Check("worker", "fail", "does not run", "systemctl start onext-worker, or `onext worker`")


def _installation(context: Context) -> Iterator[Check]:
    check = importlib.import_module("onext.install.check")
    yield from _guarded("installation", check.findings(context.paths))


def _guarded(name: str, checks: Iterable[Check]) -> Iterator[Check]:
    try:
        yield from checks
    except (OnedError, OSError) as error:
        yield Check(name, "fail", str(error))
