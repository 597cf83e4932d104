"""Take back what was placed: originals as they were, and nothing that an installation made left."""

from __future__ import annotations

import io
import os
import re
import tarfile
from pathlib import Path

from onext.account import name_of
from onext.install import diversion
from onext.install.folder_owners import correct_owners
from onext.install.front_end import FrontEnd, InstallError, Owner
from onext.install.manifest import ORIGINALS, Manifest, Original, Placed
from onext.install.safe_files import SafeFiles


def persons_work(manifest: Manifest, front_end: FrontEnd) -> list[Path]:
    """Return the files that an uninstall removes and that a person changed or put there."""
    files, own_etc = front_end.files, front_end.paths.own_etc
    changed = [
        Path(name) for name, placed in manifest.files.items() if placed.keep and _changed(name, placed, files)
    ]
    added = [path for path in _below(own_etc, files) if str(path) not in manifest.files]
    return sorted({*changed, *(added if str(own_etc) in manifest.folders else ())})


def _below(folder: Path, files: SafeFiles) -> list[Path]:
    """Return every file below a folder; links and special files do not count."""
    found, pending = [], [folder]
    while pending:
        inner = pending.pop()
        for path in (inner / name for name in files.names(inner)):
            what = files.inspect(path)
            if what is not None and what.kind == "folder":
                pending.append(path)
            elif what is not None and what.kind == "file":
                found.append(path)
    return found


def back_up(work: list[Path], archive: Path, files: SafeFiles) -> None:
    """Write files into an archive that only its owner reads; raise InstallError when that fails."""
    try:
        descriptor = os.open(archive, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
        with os.fdopen(descriptor, "wb") as file, tarfile.open(fileobj=file, mode="w:gz") as tar:
            for path in work:
                _add(tar, path, files)
    except OSError as error:
        raise InstallError(
            f"{archive}: not written ({error.strerror}), so nothing was removed: --backup FILE elsewhere"
        ) from error


def _add(tar: tarfile.TarFile, path: Path, files: SafeFiles) -> None:
    """Add what was read, not what a path leads to when the archive is written."""
    found, content = files.inspect(path), files.read(path)
    if found is None:
        return
    member = tarfile.TarInfo(str(path).lstrip("/"))
    member.size, member.mode = len(content), found.mode
    member.uid, member.gid, member.uname = found.owner.uid, found.owner.gid, name_of(found.owner.uid)
    tar.addfile(member, io.BytesIO(content))


def require_safe_paths(manifest: Manifest, front_end: FrontEnd) -> None:
    """Raise InstallError for a path that root would not follow, before anything is taken back."""
    for name in (*manifest.files, *manifest.folders):
        front_end.files.inspect(Path(name))


def remove_all(manifest: Manifest, front_end: FrontEnd) -> None:
    """Take back every file, then every folder that an installation made: if empty, or wholly its own."""
    files = front_end.files
    correct_owners(manifest, files)
    for name, placed in manifest.files.items():
        if not placed.edit:
            take_back(Path(name), placed, front_end)
    log = manifest.files.get(str(front_end.paths.log))
    if log is not None and log.original is None:
        for rotated in _rotated(front_end.paths.log, files):
            files.remove(rotated)
    last = front_end.paths.lib
    for folder in sorted(map(Path, manifest.folders), key=lambda path: -len(path.parts)):
        if folder != last and not last.is_relative_to(folder):
            files.remove_folder(folder, wholly=str(folder) in manifest.wholly)
    for folder in (
        last,
        *last.parents,
    ):  # the manifest goes last: if this run is killed, the next one continues
        if str(folder) in manifest.folders:
            files.remove_folder(folder, wholly=folder == last)


def take_back(path: Path, placed: Placed, front_end: FrontEnd) -> None:
    """Remove one installed file and put back what was there before."""
    original, files = placed.original, front_end.files
    if original is None:
        files.remove(path)
    elif original.aside:
        _take_back_aside(path, placed.digest, Path(original.aside), front_end)
    elif original.link:
        files.link(path, original.link)
    else:
        _restore(path, original, front_end)


def _take_back_aside(path: Path, digest: str, aside: Path, front_end: FrontEnd) -> None:
    files = front_end.files
    found = files.inspect(path)
    renewed = found is not None and digest and found.digest != digest  # a package has put a newer one here
    if files.inspect(aside) is None:
        return
    if renewed:
        files.remove(aside)
    else:
        files.remove(path)
        diversion.undo(path, aside, front_end)


def _restore(path: Path, original: Original, front_end: FrontEnd) -> None:
    """Put the saved content back, or, where only the rights were changed, those."""
    files, found = front_end.files, front_end.files.inspect(path)
    owner = Owner(original.uid, original.gid)
    if not _may_give(owner):
        owner = found.owner if found is not None else Owner(os.geteuid(), os.getegid())
    if original.saved:
        content = (front_end.paths.lib / ORIGINALS / original.saved).read_bytes()
        files.write(path, content, original.mode & 0o777, owner)
    elif found is not None:
        files.set_rights(path, original.mode & 0o777, owner)


def _may_give(owner: Owner) -> bool:
    """Whether owner and group can be restored: a group of root's in oneadmin's file, by root alone."""
    if os.geteuid() == 0:
        return True
    return owner.uid == os.geteuid() and owner.gid in {os.getegid(), *os.getgroups()}


def _changed(name: str, placed: Placed, files: SafeFiles) -> bool:
    found = files.inspect(Path(name))
    return placed.original is None and found is not None and found.digest != placed.digest


def _rotated(log: Path, files: SafeFiles) -> list[Path]:
    """Return what log rotation made of the log."""
    form = re.compile(rf"{re.escape(log.name)}[-.].+")
    return [log.parent / name for name in files.names(log.parent) if form.fullmatch(name)]
