"""Does a version work on this front-end? Asked before anything is touched, and after the switch."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable
from pathlib import Path

from onext import process
from onext.account import command_as
from onext.install import hook_template, manifest_entries, render, versions
from onext.install.front_end import FrontEnd, InstallError
from onext.install.manifest_entries import Entry, File

_TIMEOUT = 60.0
_IMPORT = """
import importlib, sys
sys.path.append(sys.argv[1])
for module in sys.argv[2:]:
    importlib.import_module(module)
"""


def before(home: Path) -> None:
    """Raise InstallError where the version does not load."""
    parts = home / "parts"
    modules = [f"hooks.{part}.part" for part in manifest_entries.parts_with_hooks(parts / "hooks")]
    if (parts / "exporter/main.py").is_file():
        modules.append("exporter.main")
    if (parts / "gateway/main.py").is_file():
        modules += ["gateway.main", "gateway.part"]
    _imports(home, "onext.cli.main", *modules)
    for file in hook_template.files(parts / "hooks"):
        hook_template.read(file)


def after(front_end: FrontEnd, entries: Iterable[Entry]) -> None:
    """Raise InstallError where what was installed does not start; it runs as oned would run it."""
    paths = front_end.paths
    _run([str(paths.bin / "onext"), "--version"])
    hooks, driver = paths.remotes / "hooks/onext", paths.remotes / "auth/biscuit/authenticate"
    with tempfile.TemporaryDirectory(prefix="trial-", dir=paths.lib) as folder:
        Path(folder).chmod(0o755)
        for entry in entries:
            if isinstance(entry, File) and entry.path.parent == hooks:
                twin = Path(folder) / entry.path.name  # it would log that it refuses
                twin.write_bytes(render.without_log(entry.content.decode()))
                twin.chmod(0o755)
                _refuses(front_end, twin, b"no payload", entry.path)
            elif entry.path == driver:
                _refuses(front_end, driver, b"refused", driver)


def _refuses(front_end: FrontEnd, program: Path, reason: bytes, name: Path) -> None:
    """Raise InstallError unless a program that gets no input reports that and exits with 1."""
    command = command_as(front_end.service.uid, [str(program)])
    done = process.run(command, timeout=_TIMEOUT, input=b"", check=False)
    if done.exit_code != 1 or reason not in done.stderr:
        raise InstallError(f"{name} does not start: {done.stderr[-400:].decode(errors='replace')}")


def settings(file: Path) -> None:
    """Raise InstallError where this version cannot use the settings that are there."""
    from onext.settings import SettingsError, load

    try:
        load(file)
    except SettingsError as error:
        raise InstallError(f"this version cannot use the settings:\n{error}") from error


def _imports(home: Path, *modules: str) -> None:
    _run([versions.python(home), "-I", "-c", _IMPORT, str(home / "parts"), *modules])


def _run(argv: list[str]) -> None:
    try:
        process.run(argv, timeout=_TIMEOUT)
    except process.CommandError as error:
        raise InstallError(f"this version does not work here: {error}") from error
