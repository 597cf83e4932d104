"""What of a checkout is installed, and the name of a version made of it. Standard library only."""

from __future__ import annotations

import hashlib
import re
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

from onext.install.errors import InstallError
from onext.install.parts import available, left_out

PACKAGE = "onext"  # goes into the venv, as a wheel
PARTS = ("hooks", "exporter", "gateway", "drivers", "edge")  # go into the version's own folder
_FILES = ("pyproject.toml", "README.md", "LICENSE")
_VERSION = re.compile(r'^version = "([^"]+)"', re.MULTILINE)


def version(checkout: Path, parts: Iterable[str] | None = None) -> str:
    """Return the name of a version: the project's, and what its sources, parts and Python are."""
    stated = _VERSION.search((checkout / "pyproject.toml").read_text())
    assert stated is not None
    return f"{stated.group(1)}+{_digest(checkout, parts)}"


def copy(checkout: Path, target: Path, parts: Iterable[str] | None = None) -> None:
    """Copy the sources with plain modes: what is executable stays so, other users may not write."""
    for source in files(checkout, parts):
        place = target / source.relative_to(checkout)
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(source.read_bytes())
        place.chmod(0o755 if source.stat().st_mode & 0o100 else 0o644)


def files(checkout: Path, parts: Iterable[str] | None = None) -> Iterator[Path]:
    """Return every source file in order, of all parts or of those named.

    Raises InstallError for a link, which could name any file.
    """
    names = available(checkout) if parts is None else parts
    without = [checkout / folder for folder in left_out(checkout, names)]
    for path in (*(checkout / name for name in _FILES), *sorted(checkout.glob("locks/*.txt"))):
        if path.is_file():
            yield _regular(path)
    for folder in (PACKAGE, *PARTS):
        for path in sorted((checkout / folder).rglob("*")):
            if any(path.is_relative_to(folder) for folder in without):
                continue
            if not _left_out(path.relative_to(checkout)) and not path.is_dir():
                yield _regular(path)


def _left_out(path: Path) -> bool:
    return any(name == "__pycache__" or name.startswith(".") for name in path.parts)


def _regular(path: Path) -> Path:
    if path.is_symlink() or not path.is_file():
        raise InstallError(f"{path} is not a regular file: check the sources out again")
    return path


def _digest(checkout: Path, parts: Iterable[str] | None) -> str:
    total = hashlib.sha256(f"python {sys.version_info[0]}.{sys.version_info[1]}".encode())
    for path in files(checkout, parts):
        executable = b"x" if path.stat().st_mode & 0o100 else b"-"
        content = hashlib.sha256(path.read_bytes()).digest()
        total.update(str(path.relative_to(checkout)).encode() + b"\0" + executable + content)
    return total.hexdigest()[:12]
