"""Other programs' files with lines of onext: oned.conf and prometheus.yml, after the diff was shown.

What the lines are, their own modules know: `problems`, `add` and `remove`, text in and text out.
"""

from __future__ import annotations

import difflib
import importlib
import importlib.util
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, TypeVar, cast

from onext import settings as all_settings
from onext.install import apply_changes, promtool, service, versions
from onext.install.front_end import FrontEnd, InstallError
from onext.install.manifest import ORIGINALS, Manifest, Placed
from onext.install.manifest_entries import File, wanted
from onext.install.oned_conf import OnedConfError
from onext.install.path_state import digest
from onext.install.plan_changes import plan
from onext.install.terminal import say
from onext.part import Check
from onext.settings import SettingsError

PROMETHEUS = "prometheus_yml"
_Result = TypeVar("_Result")


class Lines(Protocol):
    """What a module knows of our lines in one file."""

    def problems(self, text: str) -> list[str]:
        """Return what is missing or wrong, in words."""

    def add(self, text: str) -> str:
        """Return the text with our lines."""

    def remove(self, text: str) -> str:
        """Return the text without them."""


_RELOAD = "restart what reads it"


@dataclass(frozen=True)
class Editor:
    """Our lines in one file, and what makes them effective."""

    module: str
    path: Path
    part: str  # a file of the version's parts without which the lines have no use
    then: str

    @property
    def lines(self) -> Lines:
        """Return the module; raise ModuleNotFoundError where this version has none."""
        return cast("Lines", importlib.import_module(f"onext.install.{self.module}"))


def editors(front_end: FrontEnd) -> list[Editor]:
    """Return the editors that this front-end has a use for."""
    oned = front_end.paths.etc / "oned.conf"
    prometheus = front_end.paths.etc / "prometheus/prometheus.yml"
    restart = "systemctl restart opennebula" if front_end.systemd else "restart oned"
    known = [
        Editor("oned_conf", oned, "drivers/auth/biscuit/authenticate", restart),
        Editor("restricted_attr", oned, "hooks/power/part.py", restart),
        *([Editor("call_log", oned, "hooks/events/part.py", restart)] if _audits(front_end) else []),
        Editor(PROMETHEUS, prometheus, "hooks/targets/part.py", "reload Prometheus"),
    ]
    home = versions.resolve(front_end.paths.lib, versions.CURRENT)
    present = [
        e
        for e in known
        if home is not None and (home / "parts" / e.part).is_file() and _is_file(e.path, front_end)
    ]
    return [editor for editor in present if _there(editor.module)]


def _audits(front_end: FrontEnd) -> bool:
    """Return whether events are made of the calls that oned logs; False for settings that cannot be read."""
    try:
        return all_settings.load(front_end.paths.settings).events.audit_log is not None
    except SettingsError:
        return False


def left(front_end: FrontEnd) -> list[str]:
    """Return what is missing in files of others, below one line with the remedy."""
    missing = [
        f"  {e.path.name}: {problem}" for e in editors(front_end) for problem in _problems(e, front_end)
    ]
    head = "still to do: ./install.sh --configure, which shows the diff first, because of"
    return [head, *missing] if missing else []


def checks(front_end: FrontEnd) -> Iterator[Check]:
    """Report for each such file whether onext's lines are in it."""
    for editor in editors(front_end):
        found = _problems(editor, front_end)
        for problem in found:
            yield Check(editor.path.name, "warn", problem, "./install.sh --configure")
        if not found:
            yield Check(editor.path.name, "ok", f"{editor.path}: nothing is missing ({editor.module})")


def configure(front_end: FrontEnd, *, yes: bool, dry_run: bool = False) -> int:
    """Make anew what follows from files of others; show what would change in them, ask, and change it.

    Returns 1 where a person kept a file from it. A dry run shows the differences alone.
    """
    if not dry_run:
        _made_of_others(front_end)
    kept = False
    for path, found in _by_file(editors(front_end)):
        before = after = _read(path, front_end)
        for editor in found:
            after = _added(editor, after, front_end)
        if before == after:
            say(f"{path}: nothing to change")
            continue
        say(_diff(before, after, path).removesuffix("\n"))
        if dry_run:
            continue
        if PROMETHEUS in {editor.module for editor in found}:
            promtool.check(after, path, front_end)
        if not yes and not _agreed(path):
            kept = True
            continue
        _write(front_end, path, after)
        say(f"{path}: changed; to make it effective: {found[0].then}")
    return int(kept)


def _made_of_others(front_end: FrontEnd) -> None:
    """Place the files that follow from others', as an install does: those may have changed since."""
    home = versions.resolve(front_end.paths.lib, versions.CURRENT)
    every = wanted(front_end, home) if home is not None else []
    entries = [entry for entry in every if isinstance(entry, File) and entry.made_of is not None]
    manifest = Manifest.load(front_end.paths.lib)
    steps = [
        step
        for step in plan(entries, apply_changes.inspect_all(entries, manifest, front_end.files), manifest)
        if step.entry in entries
    ]
    apply_changes.carry_out(steps, entries, front_end)
    if any(step.path.suffix == ".service" for step in steps):
        service.renew(front_end)
    for step in steps:
        then = "" if step.path.suffix == ".service" else "; to make it effective: reload Prometheus"
        say(f"{step.path}: created again{then}")


def take_out(front_end: FrontEnd, manifest: Manifest) -> list[str]:
    """Restore these files; where another user changed them since, remove only onext's lines.

    Returns for each how to make it effective.
    """
    then, told = {editor.path: editor.then for editor in editors(front_end)}, []
    for name, placed in manifest.files.items():
        path = Path(name)
        if placed.edit and _is_file(path, front_end):
            _write_as_it_is(path, _without_us(front_end, path, placed), front_end)
            told.append(
                f"{path}: onext's lines are removed; to make that effective: {then.get(path, _RELOAD)}"
            )
    return told


def _without_us(front_end: FrontEnd, path: Path, placed: Placed) -> bytes:
    content = front_end.files.read(path)
    if digest(content) == placed.digest and placed.original is not None:
        return (front_end.paths.lib / ORIGINALS / placed.original.saved).read_bytes()
    text = _text(content)
    for module in placed.edit.split(","):
        text = _by_settings(front_end, Editor(module, path, "", "").lines.remove, text)
    return _bytes(text)


def _write(front_end: FrontEnd, path: Path, text: str) -> None:
    """Write our lines; the original is saved and remembered first, that of the first time."""
    lib = front_end.paths.lib
    manifest = Manifest.load(lib)
    modules = ",".join(editor.module for editor in editors(front_end) if editor.path == path)
    known = manifest.files.get(str(path))
    now = front_end.files.read(path)
    first = known is None or digest(now) != known.digest  # a person's edits since belong to the original
    original = (
        apply_changes.save_original(path, front_end)
        if known is None or known.original is None
        else known.original
    )
    if not first or known is None:
        manifest.with_file(path, Placed(digest(_bytes(text)), original, keep=False, edit=modules)).save(lib)
    else:
        manifest.with_file(path, Placed("", original, keep=False, edit=modules)).save(lib)
    _write_as_it_is(path, _bytes(text), front_end)


def _write_as_it_is(path: Path, content: bytes, front_end: FrontEnd) -> None:
    files = front_end.files
    found = files.inspect(path)
    if found is None or found.kind != "file":
        raise InstallError(f"{path} is not a regular file: change it manually")
    if found.digest != digest(content):
        files.write(path, content, found.mode, found.owner)


def _is_file(path: Path, front_end: FrontEnd) -> bool:
    found = front_end.files.inspect(path)
    return found is not None and found.kind == "file"


def _by_settings(front_end: FrontEnd, work: Callable[[str], _Result], text: str) -> _Result:
    """Do what reads the settings as who may change them: their name may lead to any file of root's."""
    with front_end.files.at(front_end.paths.settings):
        return work(text)


def _added(editor: Editor, text: str, front_end: FrontEnd) -> str:
    try:
        return _by_settings(front_end, editor.lines.add, text)
    except (OnedConfError, SettingsError) as error:
        raise InstallError(f"{editor.path}: {error}") from error


def _problems(editor: Editor, front_end: FrontEnd) -> list[str]:
    try:
        return _by_settings(front_end, editor.lines.problems, _read(editor.path, front_end))
    except PermissionError:
        return []  # a user who may not read it gets no diff
    except (InstallError, OnedConfError, SettingsError) as error:
        return [str(error)]


def _by_file(found: Iterable[Editor]) -> Iterator[tuple[Path, Sequence[Editor]]]:
    found = list(found)
    for path in dict.fromkeys(editor.path for editor in found):
        yield path, [editor for editor in found if editor.path == path]


def _agreed(path: Path) -> bool:
    if not sys.stdin.isatty():
        say(f"{path}: not changed; --yes does it without a question")
        return False
    return input(f"change {path}? [y/N] ").strip().lower() in ("y", "yes")


def _diff(before: str, after: str, path: Path) -> str:
    lines = difflib.unified_diff(
        before.splitlines(keepends=True), after.splitlines(keepends=True), str(path), f"{path} (new)"
    )
    return "".join(line if line.endswith("\n") else line + "\n" for line in lines)


def _there(module: str) -> bool:
    return importlib.util.find_spec(f"onext.install.{module}") is not None


def _read(path: Path, front_end: FrontEnd) -> str:
    return _text(front_end.files.read(path))


def _text(content: bytes) -> str:
    return content.decode("utf-8", "surrogateescape")  # whatever is in it comes back byte for byte


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")
