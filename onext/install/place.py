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
from onext.install.look import Found, digest, look, missing_parents
from onext.install.manifest import FILE, ORIGINALS, Manifest, Original, Placed
from onext.install.plan import DIVERT, MAKE, REMOVE, RIGHTS, WRITE, Step
from onext.install.removal import take_back
from onext.install.things import File, Folder, Thing
from onext.install.versions import CURRENT, PREVIOUS


def look_at(wanted: Iterable[Thing], manifest: Manifest) -> dict[Path, Found | None]:
    """Return what stands at every place that a plan is about."""
    places = {Path(name) for name in manifest.files}
    for thing in wanted:
        places.add(thing.path)
        if isinstance(thing, File) and thing.aside:
            places.add(thing.aside)
    return {path: look(path) for path in places}


def carry_out(steps: Sequence[Step], wanted: Sequence[Thing], front_end: FrontEnd) -> None:
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
        found = look(step.path) if step.do in (WRITE, RIGHTS) and os.geteuid() != 0 else None
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
        if isinstance(step.thing, Folder) and step.do == MAKE:
            manifest = manifest.with_folder(step.path, wholly=step.thing.wholly)
        elif str(step.path) not in (*manifest.files, *manifest.folders):
            keep = isinstance(step.thing, File) and step.thing.keep
            manifest = manifest.with_file(step.path, Placed("", _original(step, front_end.paths.lib), keep))
    return manifest


def _original(step: Step, lib: Path) -> Original | None:
    if step.do == DIVERT:
        assert isinstance(step.thing, File)
        return Original(aside=str(step.thing.aside))
    if step.do == RIGHTS:
        found = look(step.path)
        assert found is not None
        return Original(mode=found.mode, uid=found.owner.uid, gid=found.owner.gid)
    return save_original(step.path, lib)


def save_original(path: Path, lib: Path) -> Original | None:
    """Keep what stands at `path` below `lib`; return where, None for nothing."""
    found = look(path)
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
    thing = step.thing
    if step.do == REMOVE:
        take_back(step.path, Manifest.load(front_end.paths.lib).files[str(step.path)], front_end)
    elif step.do == DIVERT:
        assert isinstance(thing, File)
        diversion.divert(thing, front_end)
    elif isinstance(thing, Folder):
        _folder(thing, front_end)
    elif isinstance(thing, File):
        {WRITE: _write, RIGHTS: _rights}[step.do](thing, front_end)


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


def _rights(thing: Thing, _front_end: FrontEnd) -> None:
    """Give a file or folder its owner, then its mode: chown clears bits."""
    os.chown(thing.path, thing.owner.uid, thing.owner.gid, follow_symlinks=False)
    thing.path.chmod(thing.mode)


def _parents(path: Path, front_end: FrontEnd) -> None:
    for parent in missing_parents(path):
        parent.mkdir(mode=0o755)
        own(parent, front_end.code)


def own(path: Path, owner: Owner) -> None:
    """Give `path` to `owner`; nothing where it is so."""
    found = path.lstat()
    if (found.st_uid, found.st_gid) != (owner.uid, owner.gid):
        os.chown(path, owner.uid, owner.gid, follow_symlinks=False)


def _certain(manifest: Manifest, wanted: Iterable[Thing]) -> Manifest:
    """Note the digest of every file that is now as we write it."""
    for thing in wanted:
        placed = manifest.files.get(str(thing.path))
        if isinstance(thing, File) and placed is not None and _holds(thing):
            entry = Placed(digest(thing.content), placed.original, thing.keep, placed.edit)
            manifest = manifest.with_file(thing.path, entry)
    return manifest


def _holds(file: File) -> bool:
    found = look(file.path)
    return found is not None and found.digest == digest(file.content)
