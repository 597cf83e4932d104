"""The bytes that each of the migrations that share a tunnel has sent: the device has one counter for all.

Each adds its bytes; the process that tears the tunnel down compares the sum with the counter.
"""

import contextlib
import os
from typing import List

from .refcount import FOLDER


def add(name: str, count: int, folder: str = FOLDER) -> None:
    """Remember a migration's bytes; a line is written whole or not at all."""
    descriptor = os.open(_path(name, folder), os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        os.write(descriptor, f"{count}\n".encode())
    finally:
        os.close(descriptor)


def take(name: str, folder: str = FOLDER) -> List[int]:
    """Return what is remembered, and forget it: at the tunnel's end, and before it begins (after a crash)."""
    try:
        with open(_path(name, folder)) as file:
            found = [int(line) for line in file if line.strip().isdigit()]
    except FileNotFoundError:
        return []
    with contextlib.suppress(FileNotFoundError):
        os.unlink(_path(name, folder))
    return found


def _path(name: str, folder: str) -> str:
    return os.path.join(folder, name + ".bytes")
