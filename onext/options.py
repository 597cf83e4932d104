"""What commands share that also run on a workstation, without what a front-end has."""

from __future__ import annotations

import click

_LONGEST = 1000  # characters of a summary: one sentence

dry_run_option = click.option("--dry-run", is_flag=True, help="Print what would be done, and change nothing.")


class Group(click.Group):
    """A group whose help wraps the summaries of its commands; click would cut them."""

    group_class = type  # groups inside are of this class too

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write each command with the whole first sentence of its help."""
        names = [name for name in self.list_commands(ctx) if not self.commands[name].hidden]
        with formatter.section("Commands"):
            formatter.write_dl([(n, self.commands[n].get_short_help_str(_LONGEST)) for n in names])
