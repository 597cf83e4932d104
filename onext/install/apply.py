"""Carry a plan out: every file whole or not at all, the memory of what was there written first."""

from __future__ import annotations

import hashlib
import os
import pwd
import shutil
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from onext import atomic
from onext.install import diversion
from onext.install.front_end import FrontEnd, InstallError, Owner
from onext.install.inspection import Found, digest, inspect, missing_parents
from onext.install.manifest import FILE, ORIGINALS, Manifest, Original, Placed
from onext.install.manifest_entries import Entry, File, Folder
from onext.install.plan import DIVERT, MAKE, REMOVE, RIGHTS, WRITE, Step
from onext.install.removal import take_back
from onext.install.versions import CURRENT, PREVIOUS


def inspect_all(wanted: Iterable[Entry], manifest: Manifest) -> dict[Path, Found | None]:
    """Return what stands at every place that a plan is about."""
    places = {Path(name) for name in manifest.files}
    for entry in wanted:
        places.add(entry.path)
        if isinstance(entry, File) and entry.aside:
            places.add(entry.aside)
    return {path: inspect(path) for path in places}


def carry_out(steps: Sequence[Step], wanted: Sequence[Entry], front_end: FrontEnd) -> None:
    """Do all steps in order; raise InstallError or OSError at the first that fails."""
    lib = front_end.paths.lib
    _refuse_strangers(steps)
    manifest = remember(Manifest.load(lib), steps, front_end)
    manifest.save(lib)
    for step in steps:
        _do(step, front_end)
        if step.do == REMOVE:
            manifest = manifest.without(step.path)
    _certain(manifest, wanted).save(lib)


def _refuse_strangers(steps: Iterable[Step]) -> None:
    """Raise InstallError for files that only root could change, or give back as they were, before any is."""
    for step in steps:
        found = inspect(step.path) if step.do in (WRITE, RIGHTS) and os.geteuid() != 0 else None
        if found is not None and found.owner.uid != os.geteuid():
            whose, who = _name(found.owner.uid), _name(os.geteuid())
            raise InstallError(
                f"{step.path} belongs to {whose}: chown {who} {step.path}, then ./install.sh again"
            )


def _name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def sweep(manifest: Manifest, lib: Path) -> None:
    """Remove what installations that were killed left half done; no other one runs now."""
    written = [*map(Path, manifest.files), lib / FILE]
    drafts = [draft for file in written for draft in atomic.leftovers(file)]
    links = [link for name in (CURRENT, PREVIOUS) for link in lib.glob(f".{name}.*")]
    for leftover in (*drafts, *links, *(lib / ORIGINALS).glob(".*")):
        leftover.unlink(missing_ok=True)
    for trial in lib.glob("trial-*"):
        shutil.rmtree(trial)


def remember(manifest: Manifest, steps: Iterable[Step], front_end: FrontEnd) -> Manifest:
    """Return the manifest with everything that the steps may touch, originals saved."""
    for step in steps:
        if step.do == REMOVE:
            continue
        for parent in missing_parents(step.path):
            manifest = manifest.with_folder(parent, wholly=False)
        if isinstance(step.entry, Folder) and step.do == MAKE:
            manifest = manifest.with_folder(step.path, wholly=step.entry.wholly)
        elif str(step.path) not in (*manifest.files, *manifest.folders):
            keep = isinstance(step.entry, File) and step.entry.keep
            manifest = manifest.with_file(step.path, Placed("", _original(step, front_end.paths.lib), keep))
    return manifest


def _original(step: Step, lib: Path) -> Original | None:
    if step.do == DIVERT:
        assert isinstance(step.entry, File)
        return Original(aside=str(step.entry.aside))
    if step.do == RIGHTS:
        found = inspect(step.path)
        assert found is not None
        return Original(mode=found.mode, uid=found.owner.uid, gid=found.owner.gid)
    return save_original(step.path, lib)


def save_original(path: Path, lib: Path) -> Original | None:
    """Keep what stands at `path` below `lib`; return where, None for nothing."""
    found = inspect(path)
    if found is None:
        return None
    rights = Original(mode=found.mode, uid=found.owner.uid, gid=found.owner.gid)
    if found.kind == "link":
        return replace(rights, link=found.target)
    if found.kind != "file":
        raise InstallError(f"{path} is a {found.kind}: move it away, then run ./install.sh again")
    (lib / ORIGINALS).mkdir(mode=0o700, exist_ok=True)
    name = hashlib.sha256(os.fsencode(path)).hexdigest()[:16]
    atomic.write(lib / ORIGINALS / name, path.read_bytes(), mode=0o600)
    return replace(rights, saved=name)


def _do(step: Step, front_end: FrontEnd) -> None:
    entry = step.entry
    if step.do == REMOVE:
        take_back(step.path, Manifest.load(front_end.paths.lib).files[str(step.path)], front_end)
    elif step.do == DIVERT:
        assert isinstance(entry, File)
        diversion.divert(entry, front_end)
    elif isinstance(entry, Folder):
        _folder(entry, front_end)
    elif isinstance(entry, File):
        {WRITE: _write, RIGHTS: _rights}[step.do](entry, front_end)


def _folder(folder: Folder, front_end: FrontEnd) -> None:
    _parents(folder.path, front_end)
    try:
        folder.path.mkdir(exist_ok=True)
    except FileExistsError:
        raise InstallError(f"{folder.path} is no folder: move it away, then run ./install.sh again") from None
    _rights(folder, front_end)


def _write(file: File, front_end: FrontEnd) -> None:
    _parents(file.path, front_end)
    if file.path.is_symlink():
        file.path.unlink()  # atomic.write would look through it
    owner = (file.owner.uid, file.owner.gid)
    if not atomic.write(file.path, file.content, mode=file.mode, owner=owner):
        _rights(file, front_end)


def _rights(entry: Entry, _front_end: FrontEnd) -> None:
    """Give a file or folder its owner, then its mode: chown clears bits."""
    os.chown(entry.path, entry.owner.uid, entry.owner.gid, follow_symlinks=False)
    entry.path.chmod(entry.mode)


def _parents(path: Path, front_end: FrontEnd) -> None:
    for parent in missing_parents(path):
        parent.mkdir(mode=0o755)
        own(parent, front_end.code)


def own(path: Path, owner: Owner) -> None:
    """Give `path` to `owner`; nothing where it is so."""
    found = path.lstat()
    if (found.st_uid, found.st_gid) != (owner.uid, owner.gid):
        os.chown(path, owner.uid, owner.gid, follow_symlinks=False)


def _certain(manifest: Manifest, wanted: Iterable[Entry]) -> Manifest:
    """Note the digest of every file that is now as we write it."""
    for entry in wanted:
        placed = manifest.files.get(str(entry.path))
        if isinstance(entry, File) and placed is not None and _holds(entry):
            certain = Placed(digest(entry.content), placed.original, entry.keep, placed.edit)
            manifest = manifest.with_file(entry.path, certain)
    return manifest


def _holds(file: File) -> bool:
    found = inspect(file.path)
    return found is not None and found.digest == digest(file.content)
