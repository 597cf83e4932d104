"""From what is wanted and what is found to what is to be done: pure, the heart of install and check."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from onext.install.manifest import Manifest, Placed
from onext.install.manifest_entries import Entry, File, Folder
from onext.install.path_state import PathState, digest

MAKE, WRITE, RIGHTS, DIVERT, REMOVE = "make", "write", "rights", "divert", "remove"


@dataclass(frozen=True)
class Step:
    """One change at one path, and why; `entry` is None for a file that this version does not have."""

    do: str
    path: Path
    why: str
    entry: Entry | None = None


def plan(wanted: Iterable[Entry], found: Mapping[Path, PathState | None], manifest: Manifest) -> list[Step]:
    """Return the steps that make a front-end what it should be; none when it is already so.

    `found` holds what exists at every wanted path, at every `aside`, and at what the manifest lists.
    """
    wanted = list(wanted)
    steps = [step for entry in wanted for step in _steps(entry, found, manifest)]
    return [*steps, *_obsolete({entry.path for entry in wanted}, found, manifest)]


def _steps(entry: Entry, found: Mapping[Path, PathState | None], manifest: Manifest) -> Iterator[Step]:
    if isinstance(entry, Folder):
        yield from _folder(entry, found[entry.path])
    else:
        yield from _file(entry, found, manifest.files.get(str(entry.path)))


def _folder(folder: Folder, found: PathState | None) -> Iterator[Step]:
    if found is None:
        yield Step(MAKE, folder.path, "missing", folder)
    elif found.kind != "folder":
        yield Step(MAKE, folder.path, f"a {found.kind} where a folder belongs", folder)
    elif wrong := _rights(folder, found):
        yield Step(RIGHTS, folder.path, wrong, folder)


def _file(file: File, found: Mapping[Path, PathState | None], placed: Placed | None) -> Iterator[Step]:
    there = found[file.path]
    if there is None:
        yield Step(WRITE, file.path, "missing", file)
    elif there.kind != "file" and not (there.kind == "link" and (file.keep or file.grows)):
        yield Step(WRITE, file.path, f"a {there.kind} where a file belongs", file)
    elif there.digest != digest(file.content) and not _persons(file, there, placed):
        yield from _aside(file, found, placed)
        yield Step(WRITE, file.path, "changed", file)
    elif wrong := _rights(file, there) if there.kind == "file" else "":
        yield Step(RIGHTS, file.path, wrong, file)


def _aside(file: File, found: Mapping[Path, PathState | None], placed: Placed | None) -> Iterator[Step]:
    """Move the existing file aside where it is OpenNebula's: at first, and when it was renewed."""
    if file.aside is None:
        return
    there = found[file.path]
    assert there is not None
    ours = placed is not None and there.digest == placed.digest
    if not ours and (placed is not None or found[file.aside] is None):
        yield Step(DIVERT, file.path, f"OpenNebula's own; it becomes {file.aside.name}", file)


def _persons(file: File, found: PathState, placed: Placed | None) -> bool:
    """Whether a file is to be left: it is not what we wrote last, and such a file may be so."""
    return (file.keep or file.grows) and (placed is None or found.digest != placed.digest)


def _rights(entry: Entry, found: PathState) -> str:
    wrong = []
    if found.mode != entry.mode:
        wrong.append(f"mode {found.mode:04o} instead of {entry.mode:04o}")
    if found.owner != entry.owner:
        is_, should = found.owner, entry.owner
        wrong.append(f"owner {is_.uid}:{is_.gid} instead of {should.uid}:{should.gid}")
    return ", ".join(wrong)


def _obsolete(
    wanted: set[Path], found: Mapping[Path, PathState | None], manifest: Manifest
) -> Iterator[Step]:
    for name, placed in manifest.files.items():
        path = Path(name)
        if path not in wanted and not placed.edit and not placed.keep and found.get(path) is not None:
            yield Step(REMOVE, path, "not part of this version")
