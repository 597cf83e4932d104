"""What stands at a place now. Standard library only; links are looked at, never followed."""

from __future__ import annotations

import hashlib
import os
import stat
from dataclasses import dataclass
from pathlib import Path

from onext.install.front_end import Owner


@dataclass(frozen=True)
class Found:
    """A file, folder or link: `kind`, its mode and owner, a file's digest, where a link points."""

    kind: str  # file, folder, link, other
    mode: int
    owner: Owner
    digest: str = ""
    target: str = ""


def inspect(path: Path) -> Found | None:
    """Return what is at `path`, None for nothing; raise OSError where that cannot be seen."""
    try:
        found = path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return None
    mode, owner = stat.S_IMODE(found.st_mode), Owner(found.st_uid, found.st_gid)
    if stat.S_ISLNK(found.st_mode):
        return Found("link", mode, owner, target=str(path.readlink()))
    if stat.S_ISREG(found.st_mode):
        return Found("file", mode, owner, digest=digest(path.read_bytes()))
    return Found("folder" if stat.S_ISDIR(found.st_mode) else "other", mode, owner)


def digest(content: bytes) -> str:
    """Return what tells one content from another."""
    return hashlib.sha256(content).hexdigest()


def missing_parents(path: Path) -> list[Path]:
    """Return the folders above `path` that are not there, outermost first."""
    missing = [parent for parent in path.parents if not os.path.lexists(parent)]
    return missing[::-1]
