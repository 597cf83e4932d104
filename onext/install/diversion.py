"""OpenNebula's own migrate is kept beside onext's, and an upgrade of its package renews it there.

On Debian and Ubuntu dpkg does that by itself; elsewhere a check notices that the package has overwritten
onext's, and the next install repairs it.
"""

from __future__ import annotations

from pathlib import Path

from onext import process
from onext.install.front_end import FrontEnd
from onext.install.manifest_entries import File

_TIMEOUT = 60.0


def divert(file: File, front_end: FrontEnd) -> None:
    """Give what is at the file's path its name aside; dpkg only records that, as it would follow links."""
    assert file.aside is not None
    if front_end.dpkg and not diverted(file.path, file.aside, front_end):
        _dpkg(front_end, "--no-rename", "--divert", str(file.aside), "--add", str(file.path))
    if front_end.files.inspect(file.path) is not None:
        front_end.files.rename(file.path, file.aside.name)


def restore(file: File, front_end: FrontEnd) -> bool:
    """Tell dpkg of a diversion that it lost, the files being in their places; return whether it had."""
    if file.aside is None or not lost(file.path, file.aside, front_end):
        return False
    _dpkg(front_end, "--no-rename", "--divert", str(file.aside), "--add", str(file.path))
    return True


def undo(path: Path, aside: Path, front_end: FrontEnd) -> None:
    """Let what was moved aside take its place again; `path` is free."""
    if front_end.dpkg and diverted(path, aside, front_end):
        _dpkg(front_end, "--no-rename", "--remove", str(path))
    if front_end.files.inspect(aside) is not None:
        front_end.files.rename(aside, path.name)


def lost(path: Path, aside: Path, front_end: FrontEnd) -> bool:
    """Whether dpkg should know of the diversion and does not."""
    return front_end.dpkg and not diverted(path, aside, front_end)


def diverted(path: Path, aside: Path, front_end: FrontEnd) -> bool:
    """Whether dpkg knows the diversion."""
    told = _dpkg(front_end, "--truename", str(path)).stdout.decode().strip()
    return told in (str(aside), str(_inside(aside, front_end)))


def _dpkg(front_end: FrontEnd, *arguments: str) -> process.Completed:
    assert front_end.system is not None
    root = [] if front_end.system == Path("/") else ["--root", str(front_end.system)]
    inside = [str(_inside(Path(word), front_end)) if word.startswith("/") else word for word in arguments]
    return process.run(["dpkg-divert", *root, "--quiet", "--local", *inside], timeout=_TIMEOUT)


def _inside(path: Path, front_end: FrontEnd) -> Path:
    """Return the path as dpkg sees it below another root."""
    assert front_end.system is not None
    inside = path.is_relative_to(front_end.system)
    return Path("/") / path.relative_to(front_end.system) if inside else path
