"""The content of what is placed: sources with this front-end's paths filled in."""

from __future__ import annotations

import os
import re
from importlib import resources
from pathlib import Path

from onext.install.front_end import FrontEnd, InstallError
from onext.paths import Paths

_LONGEST_SHEBANG = 250  # what Linux reads of a script's first line, less some room

_COMMAND = '''#!{python} -I
"""The `onext` command of this front-end; install.sh wrote it."""

import os
import sys

{location}
sys.path.append({parts!r})

from onext.cli.main import main

main()
'''


def command(paths: Paths) -> bytes:
    """Return the script `onext`, which knows its front-end whatever the environment contains."""
    location = (
        f'os.environ["ONE_LOCATION"] = {str(paths.location)!r}'
        if paths.location
        else 'os.environ.pop("ONE_LOCATION", None)'
    )
    python = paths.current / "venv/bin/python3"
    _shebang(f"#!{python} -I")
    parts = str(paths.current / "parts")
    return _COMMAND.format(python=python, location=location, parts=parts).encode()


def settings(home: Path) -> bytes:
    """Return the settings file of the version in `home`, which build() wrote there."""
    return (home / "onext.yaml").read_bytes()


def hook(source: str, home: Path, front_end: FrontEnd) -> bytes:
    """Return the hook's executable: the bare interpreter, the spool, and what starts a worker."""
    paths = front_end.paths
    text = _first_line(source, _shebang(f"#!{interpreter(home)} -IS"))
    text = _assign(text, "SITE", paths.current / "site")
    text = _assign(text, "SPOOL", paths.spool)
    text = _assign(text, "LOG", paths.log)
    return _assign(text, "START", "" if front_end.systemd else paths.bin / "onext").encode()


def without_log(text: str) -> bytes:
    """Return a hook's executable that logs nothing."""
    return _assign(text, "LOG", "/dev/null").encode()


def biscuit(source: str, home: Path, paths: Paths) -> bytes:
    """Return the authentication driver, as its first comment describes."""
    text = _first_line(source, _shebang(f"#!{interpreter(home)} -IS"))
    text = _assign(text, "SITE_PACKAGES", paths.current / "site")
    return _assign(text, "REVOKED", paths.own_etc / "biscuit-revoked").encode()


def fill(text: str, paths: Paths) -> bytes:
    """Replace @BIN@, @LIB@, @LOG@, @RUN@ … by this front-end's paths."""
    places = {
        "BIN": paths.bin / "onext",
        "DASHBOARDS": paths.current / "parts/exporter/dashboards",
        "ETC": paths.own_etc,
        "LIB": paths.current,
        "LOG": paths.log,
        "RUN": paths.run,
        "VAR": paths.var,
    }
    for name, path in places.items():
        text = text.replace(f"@{name}@", str(path))
    return text.encode()


def stock_rules(file: Path, content: bytes) -> bytes:
    """Return OpenNebula's alert rules without those that onext replaces."""
    from onext.install.prometheus_rules import without_replaced

    return without_replaced(content.decode(errors="replace"), str(file)).encode()


def own(name: str) -> str:
    """Return a file of this package: a unit or snippet."""
    return (resources.files("onext.install") / name).read_text()


def interpreter(home: Path) -> Path:
    """Return the real interpreter behind a version's venv: without `site` the venv only costs time."""
    return Path(os.path.realpath(home / "venv/bin/python3"))


def _shebang(line: str) -> str:
    if len(line) > _LONGEST_SHEBANG or " " in line.split(" -", maxsplit=1)[0]:
        raise InstallError(f"{line!r}: no first line for a script: a shorter path without blanks is needed")
    return line


def _first_line(text: str, line: str) -> str:
    return line + text[text.index("\n") :]


def _assign(text: str, name: str, value: Path | str) -> str:
    """Fill in the one line `NAME = "…"` of a source."""
    filled, count = re.subn(rf'(?m)^{name} = "[^"]*"$', lambda _: f"{name} = {_quoted(str(value))}", text)
    if count != 1:
        raise InstallError(f"a source has {count} lines `{name} = …` instead of one")
    return filled


def _quoted(text: str) -> str:
    if any(character in text for character in '"\\\n'):
        raise InstallError(f"{text!r}: a path with quotes, backslashes or line ends cannot be installed in")
    return f'"{text}"'
