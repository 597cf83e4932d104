"""Man pages and shell completion, made from the commands themselves: `python -m onext.cli.manual FOLDER`.

The installer runs it in the environment that it has just made, so that pages and commands never differ.
"""

from __future__ import annotations

import importlib.metadata
import os
import sys
from pathlib import Path

import click
from click.shell_completion import BashComplete, FishComplete, ZshComplete
from click_man.core import write_man_pages

from onext.cli.main import COMMANDS, cli
from onext.options import Group

NAME = "onext"
_VARIABLE = "_ONEXT_COMPLETE"
_COMPLETIONS = {
    "completions/onext": BashComplete,
    "completions/onext.fish": FishComplete,
    "completions/_onext": ZshComplete,
}


def complete() -> click.Group:
    """Return the command with all of its parts loaded; those that are not installed are left out."""
    context = click.Context(cli)
    commands = {}
    for name in sorted(COMMANDS):
        try:
            command = cli.get_command(context, name)
        except click.UsageError:
            continue
        if command is not None:
            commands[name] = command
    return Group(NAME, commands, help=cli.help, params=cli.params)


def write(folder: Path) -> list[Path]:
    """Write a page for each command and a completion script for each shell; return the files."""
    pages = folder / "man1"
    (folder / "completions").mkdir(parents=True, exist_ok=True)
    pages.mkdir(parents=True, exist_ok=True)
    version = importlib.metadata.version(NAME)
    write_man_pages(NAME, complete(), version=version, target_dir=str(pages), date="")
    for path, shell in _COMPLETIONS.items():
        (folder / path).write_text(shell(cli, {}, NAME, _VARIABLE).source())
    return sorted(file for file in folder.rglob("*") if file.is_file())


def main() -> None:
    """Write into the folder that the command line names, and print the files."""
    os.umask(0o022)
    sys.stdout.write("".join(f"{file}\n" for file in write(Path(sys.argv[1]))))


if __name__ == "__main__":
    main()
