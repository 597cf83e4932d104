"""Man pages and completion exist for every command, and can be read by the programs that they are for."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from onext.cli.manual import complete, write


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write everything once."""
    folder = tmp_path_factory.mktemp("manual")
    write(folder)
    return folder


def commands(group: click.Group, prefix: str = "onext") -> Iterator[str]:
    """Yield the name of each command with its groups, as its page is named."""
    yield prefix
    for name, command in group.commands.items():
        if command.hidden:
            continue
        if isinstance(command, click.Group):
            yield from commands(command, f"{prefix}-{name}")
        else:
            yield f"{prefix}-{name}"


def test_every_command_has_a_page(pages: Path) -> None:
    """`man onext-power-plan` is where an administrator without a network looks."""
    assert {f"{name}.1" for name in commands(complete())} == {
        file.name for file in (pages / "man1").iterdir()
    }
    assert "Usage" not in (pages / "man1/onext.1").read_text()
    assert ".SH NAME" in (pages / "man1/onext-power-plan.1").read_text()


def test_every_command_and_option_is_described() -> None:
    """A page that only repeats a name helps as much as none."""

    def walk(name: str, command: click.Command) -> Iterator[str]:
        if not (command.help or "").strip():
            yield f"{name}: no help"
        for parameter in command.params:
            if isinstance(parameter, click.Option) and not parameter.help and not parameter.hidden:
                yield f"{name}: {parameter.opts[0]} has no help"
        if isinstance(command, click.Group):
            for inner, found in command.commands.items():
                yield from walk(f"{name} {inner}", found)

    assert not list(walk("onext", complete()))


@pytest.mark.process
@pytest.mark.parametrize(("shell", "file"), [("bash", "completions/onext"), ("zsh", "completions/_onext")])
def test_completion_is_valid_for_its_shell(pages: Path, shell: str, file: str) -> None:
    """A script with a syntax error breaks every new shell of the administrator."""
    if shutil.which(shell) is None:
        pytest.skip(f"{shell} is not installed")
    done = subprocess.run([shell, "-n", str(pages / file)], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
