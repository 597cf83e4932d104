"""Carry a plan out: every file whole or not at all, what was there before recorded first."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from onext import atomic
from onext.account import name_of
from onext.install import diversion
from onext.install.folder_owners import correct_owners
from onext.install.front_end import FrontEnd, InstallError
from onext.install.manifest import FILE, ORIGINALS, Manifest, Original, Placed
from onext.install.manifest_entries import Entry, File, Folder
from onext.install.path_state import PathState, digest
from onext.install.plan_changes import DIVERT, MAKE, REMOVE, RIGHTS, WRITE, Step
from onext.install.removal import take_back
from onext.install.safe_files import SafeFiles
from onext.install.versions import CURRENT, PREVIOUS


def inspect_all(
    wanted: Iterable[Entry], manifest: Manifest, files: SafeFiles
) -> dict[Path, PathState | None]:
    """Return what is at every path that a plan is about; raise InstallError for an unsafe one."""
    paths = {Path(name) for name in manifest.files}
    for entry in wanted:
        paths.add(entry.path)
        if isinstance(entry, File) and entry.aside:
            paths.add(entry.aside)
    return {path: files.inspect(path) for path in paths}


def carry_out(steps: Sequence[Step], wanted: Sequence[Entry], front_end: FrontEnd) -> None:
    """Do all steps in order; raise InstallError or OSError at the first that fails."""
    lib, files = front_end.paths.lib, front_end.files
    _refuse_foreign_files(steps, files)
    before = Manifest.load(lib)
    manifest = remember(before, steps, front_end)
    manifest.save(lib)
    correct_owners(before, files)
    for step in steps:
        _do(step, front_end)
        if step.do == REMOVE:
            manifest = manifest.without(step.path)
    _certain(manifest, wanted, files).save(lib)


def _refuse_foreign_files(steps: Iterable[Step], files: SafeFiles) -> None:
    """Raise InstallError for files that only root could change, or restore as they were, before any is."""
    for step in steps:
        found = files.inspect(step.path) if step.do in (WRITE, RIGHTS) and os.geteuid() != 0 else None
        if found is not None and found.owner.uid != os.geteuid():
            whose, who = name_of(found.owner.uid), name_of(os.geteuid())
            raise InstallError(
                f"{step.path} belongs to {whose}: chown {who} {step.path}, then ./install.sh again"
            )


def sweep(manifest: Manifest, front_end: FrontEnd) -> None:
    """Remove what installations that were killed left half done; no other one runs now."""
    lib, files = front_end.paths.lib, front_end.files
    for written in (*map(Path, manifest.files), lib / FILE):
        for draft in files.drafts(written):
            files.remove(draft)
    links = [link for name in (CURRENT, PREVIOUS) for link in lib.glob(f".{name}.*")]
    for leftover in (*links, *(lib / ORIGINALS).glob(".*")):
        leftover.unlink(missing_ok=True)
    for trial in lib.glob("trial-*"):
        shutil.rmtree(trial)


def remember(manifest: Manifest, steps: Iterable[Step], front_end: FrontEnd) -> Manifest:
    """Return the manifest with everything that the steps may touch, originals saved."""
    for step in steps:
        if step.do == REMOVE:
            continue
        for parent in _missing_parents(step.path, front_end.files):
            manifest = manifest.with_folder(parent, wholly=False)
        if isinstance(step.entry, Folder) and step.do == MAKE:
            manifest = manifest.with_folder(step.path, wholly=step.entry.wholly)
        elif str(step.path) not in (*manifest.files, *manifest.folders):
            keep = isinstance(step.entry, File) and step.entry.keep
            manifest = manifest.with_file(step.path, Placed("", _original(step, front_end), keep))
    return manifest


def _original(step: Step, front_end: FrontEnd) -> Original | None:
    if step.do == DIVERT:
        assert isinstance(step.entry, File)
        return Original(aside=str(step.entry.aside))
    if step.do == RIGHTS:
        found = front_end.files.inspect(step.path)
        assert found is not None
        return Original(mode=found.mode, uid=found.owner.uid, gid=found.owner.gid)
    return save_original(step.path, front_end)


def save_original(path: Path, front_end: FrontEnd) -> Original | None:
    """Keep a copy of the file at `path` in the installation's own folder; None without one."""
    lib, files = front_end.paths.lib, front_end.files
    found = files.inspect(path)
    if found is None:
        return None
    rights = Original(mode=found.mode, uid=found.owner.uid, gid=found.owner.gid)
    if found.kind == "link":
        return replace(rights, link=found.target)
    if found.kind != "file":
        kind = "folder" if found.kind == "folder" else "special file"
        raise InstallError(f"{path} is a {kind}: move it away, then run ./install.sh again")
    (lib / ORIGINALS).mkdir(mode=0o700, exist_ok=True)
    name = hashlib.sha256(os.fsencode(path)).hexdigest()[:16]
    atomic.write(lib / ORIGINALS / name, files.copy_of(path), mode=0o600)
    return replace(rights, saved=name)


def _do(step: Step, front_end: FrontEnd) -> None:
    entry, files = step.entry, front_end.files
    if step.do == REMOVE:
        take_back(step.path, Manifest.load(front_end.paths.lib).files[str(step.path)], front_end)
    elif step.do == DIVERT:
        assert isinstance(entry, File)
        diversion.divert(entry, front_end)
    elif step.do == RIGHTS:
        assert entry is not None
        files.set_rights(entry.path, entry.mode, entry.owner)
    elif isinstance(entry, Folder):
        _make_parents(entry.path, front_end)
        files.make_folder(entry.path, entry.mode, entry.owner)
    elif isinstance(entry, File):
        _make_parents(entry.path, front_end)
        files.write(entry.path, entry.content, entry.mode, entry.owner)


def _make_parents(path: Path, front_end: FrontEnd) -> None:
    for parent in _missing_parents(path, front_end.files):
        front_end.files.make_folder(parent, 0o755, front_end.code)


def _missing_parents(path: Path, files: SafeFiles) -> list[Path]:
    """Return the folders above `path` that are not there, outermost first."""
    missing = []
    for parent in path.parents:
        if files.inspect(parent) is not None:
            break
        missing.append(parent)
    return missing[::-1]


def _certain(manifest: Manifest, wanted: Iterable[Entry], files: SafeFiles) -> Manifest:
    """Note the digest of every file that is now as we write it."""
    for entry in wanted:
        placed = manifest.files.get(str(entry.path))
        if isinstance(entry, File) and placed is not None and _holds(entry, files):
            certain = Placed(digest(entry.content), placed.original, entry.keep, placed.edit)
            manifest = manifest.with_file(entry.path, certain)
    return manifest


def _holds(file: File, files: SafeFiles) -> bool:
    found = files.inspect(file.path)
    return found is not None and found.digest == digest(file.content)
