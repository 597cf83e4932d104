"""The processes that OpenNebula's own migrate has started, from /proc."""

import os
from typing import List

_DEPTH = 8  # a script, a shell, a command: never more than a few


def runs_virsh_migrate(process: int) -> bool:
    """Tell whether a real `virsh … migrate` runs below a process (not our wrapper: a shell or Python)."""
    return any(
        os.path.basename(words[0]) == "virsh" and "migrate" in words[1:]
        for words in map(_words, _descendants(process, _DEPTH))
        if words
    )


def _descendants(process: int, depth: int) -> List[int]:
    found = _children(process)
    return found + [below for one in found if depth for below in _descendants(one, depth - 1)]


def _children(process: int) -> List[int]:
    try:
        tasks = os.listdir(f"/proc/{process}/task")
    except OSError:
        return []
    found: List[int] = []
    for task in tasks:  # Ruby starts commands from several threads
        try:
            with open(f"/proc/{process}/task/{task}/children") as file:
                found += [int(word) for word in file.read().split()]
        except OSError:
            continue
    return found


def _words(process: int) -> List[str]:
    try:
        with open(f"/proc/{process}/cmdline", "rb") as file:
            return file.read(65536).decode("utf-8", "replace").split("\0")
    except OSError:
        return []
