"""What is at a path now. Standard library only; links are reported, never followed."""

from __future__ import annotations

import hashlib
import os
import stat
from dataclasses import dataclass
from pathlib import Path

LIMIT = 64 << 20  # bytes; no file that is installed comes near it
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC


@dataclass(frozen=True)
class Owner:
    """The user and group of a file, as numbers."""

    uid: int
    gid: int


@dataclass(frozen=True)
class PathState:
    """A file, folder or link: `kind`, its mode and owner, a file's digest, a link's target.

    The digest is empty for a file that cannot be read, or is larger than LIMIT.
    """

    kind: str  # file, folder, link, other
    mode: int
    owner: Owner
    digest: str = ""
    target: str = ""


def inspect(path: Path, *, within: int | None = None) -> PathState | None:
    """Return what is at `path` (relative to the folder descriptor `within`), None for nothing."""
    try:
        found = os.stat(path, dir_fd=within, follow_symlinks=False)
    except (FileNotFoundError, NotADirectoryError):
        return None
    mode, owner = stat.S_IMODE(found.st_mode), Owner(found.st_uid, found.st_gid)
    if stat.S_ISLNK(found.st_mode):
        return PathState("link", mode, owner, target=os.readlink(path, dir_fd=within))
    if stat.S_ISREG(found.st_mode):
        return _file(path, within)
    return PathState("folder" if stat.S_ISDIR(found.st_mode) else "other", mode, owner)


def read(path: Path, *, within: int | None = None) -> bytes:
    """Return the content of a regular file; raise OSError for anything else, and for more than LIMIT."""
    descriptor = os.open(path, _READ, dir_fd=within)
    with os.fdopen(descriptor, "rb") as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise OSError(22, "not a regular file", str(path))
        content = file.read(LIMIT + 1)
    if len(content) > LIMIT:
        raise OSError(27, f"larger than {LIMIT} bytes", str(path))
    return content


def digest(content: bytes) -> str:
    """Return what tells one content from another."""
    return hashlib.sha256(content).hexdigest()


def _file(path: Path, within: int | None) -> PathState | None:
    """Return mode, owner and digest of one open file: its name may be another's a moment later."""
    try:
        descriptor = os.open(path, _READ, dir_fd=within)
    except PermissionError:
        found = os.stat(path, dir_fd=within, follow_symlinks=False)
        return PathState("file", stat.S_IMODE(found.st_mode), Owner(found.st_uid, found.st_gid))
    with os.fdopen(descriptor, "rb") as file:
        found = os.fstat(descriptor)
        kind = "file" if stat.S_ISREG(found.st_mode) else "other"
        readable = kind == "file" and found.st_size <= LIMIT
        content = file.read(LIMIT) if readable else b""
        owner = Owner(found.st_uid, found.st_gid)
        return PathState(kind, stat.S_IMODE(found.st_mode), owner, digest(content) if readable else "")
