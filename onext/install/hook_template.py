"""Registration templates, `hooks/*.hook`: what `onehook create` takes, and what oned makes of it.

The syntax is the simple half of OpenNebula's: one `NAME = "value"` on a line, comments with #.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from onext import events
from onext.install.front_end import InstallError
from onext.oned.template import render
from onext.xml import Element

PREFIX = events.PREFIX
_LINE = re.compile(r'\s*([A-Z_]+)\s*=\s*"([^"]*)"\s*\Z')
_NEEDED = ("NAME", "TYPE", "COMMAND")
# What `ON` means (HookStateVM.cc); oned stores the states.
_ON = {
    "PROLOG": ("ACTIVE", "PROLOG"),
    "RUNNING": ("ACTIVE", "RUNNING"),
    "SHUTDOWN": ("ACTIVE", "EPILOG"),
    "STOP": ("STOPPED", "LCM_INIT"),
    "DONE": ("DONE", "LCM_INIT"),
    "UNKNOWN": ("ACTIVE", "UNKNOWN"),
}


@dataclass(frozen=True)
class Hook:
    """A hook as oned keeps it: `stored` has neither name, type nor ON."""

    name: str
    type: str
    stored: Mapping[str, str]
    text: str = ""  # for one.hook.allocate

    def update(self) -> str:
        """Return the text for one.hook.update with append = 0."""
        return render(dict(sorted(self.stored.items())))


def files(hooks: Path) -> list[Path]:
    """Return the templates of the states that an installed part is interested in."""
    installed = [path.parent.name for path in hooks.glob("*/part.py")]
    wanted = {state.name for state in events.registered(installed)}
    return [
        file for file in sorted(hooks.glob("*.hook")) if file.stem in wanted or file.stem not in events.STATES
    ]


def read(file: Path) -> Hook:
    """Read a template; raise InstallError, naming the line."""
    values = dict(_lines(file))
    if missing := [name for name in _NEEDED if not values.get(name)]:
        raise InstallError(f"{file}: no {', '.join(missing)}")
    if not values["NAME"].startswith(PREFIX):
        raise InstallError(
            f"{file}: the name must begin with {PREFIX}, by which the hooks of onext are known"
        )
    stored = {name: value for name, value in values.items() if name not in ("NAME", "TYPE", "ON")}
    stored["REMOTE"] = "YES" if values.get("REMOTE", "").upper() == "YES" else "NO"
    if states := _ON.get(values.get("ON", "").upper()):
        stored["STATE"], stored["LCM_STATE"] = states
    return Hook(values["NAME"], values["TYPE"].lower(), stored, render(values))


def of(element: Element) -> Hook:
    """Return a hook of one.hookpool.info."""
    template = element.find("TEMPLATE")
    stored = {} if template is None else {child.tag: child.text or "" for child in template}
    return Hook(element.findtext("NAME", ""), element.findtext("TYPE", ""), stored)


def _lines(file: Path) -> Iterator[tuple[str, str]]:
    for number, line in enumerate(file.read_text().splitlines(), 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        match = _LINE.match(line)
        if match is None:
            raise InstallError(f'{file}:{number}: expected NAME = "value", found {line.strip()!r}')
        yield match.group(1), match.group(2)
