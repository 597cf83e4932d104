"""Every command of the tree, by a walk: what changes something can be previewed, and all help fits a terminal."""

from __future__ import annotations

from collections.abc import Iterator

import click
import pytest
from click.testing import CliRunner

from onext.cli.main import cli
from onext.cli.manual import complete

# Commands that change nothing but a file that they are told to write.
READING = {
    "balance plan",
    "biscuit attenuate",
    "biscuit check",
    "biscuit inspect",
    "biscuit token",
    "biscuit verify",
    "doctor",
    "edge list",
    "edge program",  # writes the file that it is told to write
    "edge show",
    "events dead list",
    "events status",
    "events tail",
    "geo show",
    "ha check",
    "ha history",
    "ha plan",
    "ha status",
    "power advise",
    "power asleep",
    "power bmc check",
    "power check",
    "power plan",
    "power report",
    "power simulate",
    "power status",
    "status",
    "targets check",
    "targets list",
    "tunnel check",
    "tunnel list",
    "tunnel validate",
    "worker",  # a service, which does what the other commands preview
}
WIDTH = 80


def leaves(command: click.Command, path: tuple[str, ...] = ()) -> Iterator[tuple[str, click.Command]]:
    """Yield every command without sub-commands, by its words."""
    if not isinstance(command, click.Group):
        yield " ".join(path), command
        return
    for name, inner in command.commands.items():
        if not inner.hidden:  # called by onext itself, on another server
            yield from leaves(inner, (*path, name))


def nodes(command: click.Command, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Yield the words of every command and group, and of `onext` itself."""
    yield path
    for name, inner in command.commands.items() if isinstance(command, click.Group) else ():
        yield from nodes(inner, (*path, name))


COMMANDS = dict(leaves(complete()))


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_what_changes_something_can_be_previewed(name: str) -> None:
    """An administrator could only find out what a command does by running it."""
    options = {option for one in COMMANDS[name].params for option in one.opts}
    assert ("--dry-run" in options) == (name not in READING), (
        f"`onext {name}` needs --dry-run, or a place in READING if it changes nothing"
    )


def test_the_list_of_reading_commands_is_current() -> None:
    """A name that no command has would excuse a new command of that name from --dry-run."""
    assert COMMANDS.keys() >= READING


@pytest.mark.parametrize("path", sorted(nodes(complete())), ids=lambda path: " ".join(path) or "onext")
def test_help_fits_a_terminal(path: tuple[str, ...]) -> None:
    """On 80 columns words would be broken, and a summary would be cut before it states its point."""
    done = CliRunner().invoke(
        cli if not path else complete(), [*path, "--help"], terminal_width=WIDTH, prog_name="onext"
    )
    assert done.exit_code == 0, done.output
    lines = done.output.splitlines()
    assert [line for line in lines if len(line) > WIDTH] == []
    assert [line for line in lines if line.rstrip().endswith("...") and "Usage" not in line] == []
