"""The `onext` command: one group for each part, loaded only when it is asked for."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Mapping

import click

from onext.account import become_service
from onext.log import escape
from onext.paths import Paths

# name: (module:object, what it is about)
COMMANDS: Mapping[str, tuple[str, str]] = {
    "balance": ("hooks.balance.commands:balance", "Move VMs away from loaded hosts."),
    "biscuit": ("onext.biscuit.commands:biscuit", "Tokens instead of passwords."),
    "doctor": ("onext.cli.doctor:doctor", "Is all installed, registered and reachable?"),
    "edge": ("hooks.edge.commands:edge", "Nodes that join, leave and rejoin by themselves."),
    "events": ("hooks.events.commands:events", "State changes of the cloud as durable events."),
    "geo": ("hooks.geolocation.commands:geo", "Where hosts are."),
    "ha": ("hooks.availability.commands:ha", "Fence failed hosts, restart their VMs elsewhere."),
    "host": ("hooks.maintenance.commands:host", "Empty a host for maintenance."),
    "power": ("hooks.power.commands:power", "Pack VMs, power hosts off and on."),
    "start": ("onext.cli.switch:start", "Resume a stopped part."),
    "status": ("onext.cli.status:status", "The worker, its queue, the last results."),
    "stop": ("onext.cli.switch:stop", "Freeze a part, or all."),
    "sync": ("onext.cli.worker:sync", "Let all parts process all objects now."),
    "targets": ("hooks.targets.commands:targets", "What Prometheus scrapes."),
    "tunnel": ("onext.tunnel.commands:tunnel", "Tunnels of live migrations."),
    "worker": ("onext.cli.worker:worker", "Handle events; systemd runs it."),
}


class Lazy(click.Group):
    """Imports a command when it is used: `onext biscuit` needs nothing of a front-end."""

    def list_commands(self, _ctx: click.Context) -> list[str]:
        """Return every command, whether its part is here or not."""
        return sorted(COMMANDS)

    def get_command(self, _ctx: click.Context, name: str) -> click.Command | None:
        """Import a command; raise UsageError when its part or what it needs is not here."""
        if name not in COMMANDS:
            return None
        module, _, attribute = COMMANDS[name][0].partition(":")
        try:
            command: click.Command = getattr(importlib.import_module(module), attribute)
        except ModuleNotFoundError as error:
            raise click.UsageError(_missing(name, module, error)) from error
        return command

    def format_commands(self, _ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands without importing one."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, COMMANDS[name][1]) for name in sorted(COMMANDS)])


def _missing(command: str, module: str, error: ModuleNotFoundError) -> str:
    if error.name is not None and module.startswith(error.name):
        return f"`onext {command}` is not installed here: it comes with ./install.sh on a front-end"
    extra = "biscuit" if command == "biscuit" else "frontend"
    return f"`onext {command}` needs {error.name}: in the checkout, pip install '.[{extra}]'"


@click.group(cls=Lazy, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="onext")
def cli() -> None:
    """Extensions of an OpenNebula front-end: where hosts are, Prometheus, tokens, tunnels, power."""


def main() -> None:
    """Run the command; what is expected to fail is one line on stderr and exit code 1.

    Root works as OpenNebula's account from the start: that account may change most paths that follow.
    """
    try:
        become_service(Paths.find())
        cli()
    except Exception as error:
        if not _expected(error):
            raise
        sys.exit("\n".join(f"onext: {escape(line)}" for line in str(error).splitlines() or [repr(error)]))


def _expected(error: Exception) -> bool:
    """Whether an error's message is enough for a person; a traceback would add nothing."""
    from onext.process import CommandError

    names = {"OnedError", "SettingsError", "Retry", "AlreadyRunning", "NoAccount"}
    known = {c.__name__ for c in type(error).__mro__ if c.__module__.startswith(("onext.", "hooks."))}
    return bool(known & names) or isinstance(error, CommandError | OSError)
