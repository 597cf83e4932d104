"""Whether another user can read the files that are written for it: the targets, for Prometheus."""

from __future__ import annotations

import os
import pwd
from pathlib import Path


def hidden_from(folder: Path, user: str) -> str:
    """Return why the user of that name cannot read the `*.json` of a folder, empty where it can."""
    try:
        known = pwd.getpwnam(user)
    except KeyError:
        return f"no user {user} here: name Prometheus's user (targets.prometheus_user)"
    return readable_by(folder, known.pw_uid, set(os.getgrouplist(user, known.pw_gid)))


def readable_by(folder: Path, uid: int, gids: set[int]) -> str:
    """Return why a user cannot read the `*.json` of a folder, empty where it can."""
    for path in (*reversed(folder.parents), folder, *folder.glob("*.json")):
        try:
            found = path.stat()
        except OSError as error:
            return f"{path}: {error.strerror}"
        shift = 6 if found.st_uid == uid else 3 if found.st_gid in gids else 0
        needed = 0o5 if path == folder else 0o1 if path.is_dir() else 0o4
        if uid != 0 and (found.st_mode >> shift) & needed != needed:
            return f"{path} (mode {found.st_mode & 0o777:o}) cannot be read"
    return ""
