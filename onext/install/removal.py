"""Take back what was placed: originals as they were, and nothing of ours left."""

from __future__ import annotations

import os
import shutil
import tarfile
from collections.abc import Iterator
from pathlib import Path

from onext import atomic
from onext.install import diversion
from onext.install.front_end import FrontEnd, InstallError
from onext.install.inspection import inspect
from onext.install.manifest import ORIGINALS, Manifest, Original, Placed


def persons_work(manifest: Manifest, front_end: FrontEnd) -> list[Path]:
    """Return the files that an uninstall removes and that a person changed or put there."""
    changed = [
        Path(name) for name, placed in manifest.files.items() if placed.keep and _changed(name, placed)
    ]
    own_etc = front_end.paths.own_etc
    added = [p for p in own_etc.rglob("*") if p.is_file() and str(p) not in manifest.files]
    return sorted({*changed, *(added if str(own_etc) in manifest.folders else ())})


def back_up(files: list[Path], archive: Path) -> None:
    """Write the files into an archive that only its owner reads; raise InstallError when that fails."""
    try:
        descriptor = os.open(archive, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file, tarfile.open(fileobj=file, mode="w:gz") as tar:
            for path in files:
                tar.add(path, recursive=False)
    except OSError as error:
        raise InstallError(
            f"{archive}: not written ({error.strerror}), so nothing was removed: --backup FILE elsewhere"
        ) from error


def remove_all(manifest: Manifest, front_end: FrontEnd) -> None:
    """Take back every file, then every folder that we made and that is empty or wholly ours."""
    for name, placed in manifest.files.items():
        if not placed.edit:
            take_back(Path(name), placed, front_end)
    log = manifest.files.get(str(front_end.paths.log))
    if log is not None and log.original is None:
        for rotated in _rotated(front_end.paths.log):
            rotated.unlink(missing_ok=True)
    last = front_end.paths.lib
    for folder in sorted(map(Path, manifest.folders), key=lambda path: -len(path.parts)):
        if folder != last and not last.is_relative_to(folder):
            _remove_folder(folder, wholly=str(folder) in manifest.wholly)
    for folder in (last, *last.parents):  # the manifest goes last: whatever ends us, the next run goes on
        if str(folder) in manifest.folders:
            _remove_folder(folder, wholly=folder == last)


def take_back(path: Path, placed: Placed, front_end: FrontEnd) -> None:
    """Remove one file of ours and put back what was there before."""
    original = placed.original
    if original is None:
        path.unlink(missing_ok=True)
    elif original.aside:
        _take_back_aside(path, placed.digest, Path(original.aside), front_end)
    elif original.link:
        path.unlink(missing_ok=True)
        path.symlink_to(original.link)
    else:
        _restore(path, original, front_end)


def _take_back_aside(path: Path, ours: str, aside: Path, front_end: FrontEnd) -> None:
    found = inspect(path)
    renewed = found is not None and ours and found.digest != ours  # a package has put a newer one here
    if aside.exists() and renewed:
        aside.unlink()
    elif aside.exists():
        path.unlink(missing_ok=True)
        diversion.undo(path, aside, front_end)


def _restore(path: Path, original: Original, front_end: FrontEnd) -> None:
    """Put the saved content back, or, where only the rights were changed, those."""
    owner = (original.uid, original.gid) if _may_give(original) else None
    if original.saved:
        content = (front_end.paths.lib / ORIGINALS / original.saved).read_bytes()
        path.unlink(missing_ok=True)
        atomic.write(path, content, mode=original.mode, owner=owner)
    elif path.exists():
        if owner is not None:
            os.chown(path, *owner)
        path.chmod(original.mode)


def _may_give(original: Original) -> bool:
    """Tell whether owner and group can be given back: a group of root's in oneadmin's file, by root alone."""
    if os.geteuid() == 0:
        return True
    return original.uid == os.geteuid() and original.gid in {os.getegid(), *os.getgroups()}


def _changed(name: str, placed: Placed) -> bool:
    found = inspect(Path(name))
    return placed.original is None and found is not None and found.digest != placed.digest


def _rotated(log: Path) -> Iterator[Path]:
    """Return what log rotation made of the log."""
    for pattern in (f"{log.name}-*", f"{log.name}.*"):
        yield from log.parent.glob(pattern)


def _remove_folder(folder: Path, *, wholly: bool) -> None:
    if not folder.is_dir() or folder.is_symlink():
        return
    if wholly:
        shutil.rmtree(folder)
    elif not any(folder.iterdir()):
        folder.rmdir()
