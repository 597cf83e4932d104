"""The files of file_sd: whole, in place at once, touched only when they change.

Prometheus sees a rename through inotify and needs no reload. An empty list drops the targets; a file that
is gone or empty does not, so files of jobs that were switched off become `[]`.
"""

from __future__ import annotations

import fcntl
import json
import os
import pwd
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hooks.prometheus.decide import Decision, groups
from onext import atomic

MODE = 0o644  # Prometheus is another user, and there is no secret in it


def write(folder: Path, decision: Decision) -> list[str]:
    """Make the files what was decided; return the names of those that changed. Raises OSError."""
    folder.mkdir(mode=0o755, parents=True, exist_ok=True)
    with _lock(folder):
        texts = {job: text(decision, job) for job in decision.jobs}
        stale = {file.stem for file in folder.glob("hosts-*.json")} - texts.keys()
        texts |= dict.fromkeys(stale, b"[]\n")
        return [
            name
            for name, content in texts.items()
            if atomic.write(folder / f"{name}.json", content, mode=MODE)
        ]


def text(decision: Decision, job: str) -> bytes:
    """Return the content of one job's file."""
    lines = ",\n".join(json.dumps(group, sort_keys=True) for group in groups(decision.of(job)))
    return f"[{lines}]\n".encode()


def hidden_from(folder: Path, user: str) -> str:
    """Return why the user of that name cannot read the files, empty where it can."""
    try:
        known = pwd.getpwnam(user)
    except KeyError:
        return f"no user {user} here: name Prometheus's user (targets.prometheus_user)"
    return readable_by(folder, known.pw_uid, set(os.getgrouplist(user, known.pw_gid)))


def readable_by(folder: Path, uid: int, gids: set[int]) -> str:
    """Return why a user cannot read the files, empty where it can: the check of `--check`."""
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


@contextmanager
def _lock(folder: Path) -> Iterator[None]:
    """Hold the folder: `onext targets sync` and the worker write one after the other."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
