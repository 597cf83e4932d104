"""Changes below folders that another account controls: no link is followed, no right of root is used there.

The installer runs as root, and oneadmin may redirect every path below its own folders at any moment. So
each component is opened from the one above (openat(2), O_NOFOLLOW), its owner and type are checked, and from
the first folder on that oneadmin may write, the kernel sees oneadmin instead of root. Links that root made
in folders that only root may write are followed: administrators move /var/lib/one to another disk that way.

Standard library only.
"""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import shutil
import stat
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from onext import process
from onext.account import acting_as, command_as, name_of
from onext.install import path_state
from onext.install.errors import InstallError
from onext.install.path_state import Owner, PathState

_FOLDER = os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
FOLDER = "folder"  # the kind of a missing file
_LINKS = 40  # as Linux itself allows in one path
_REMOVAL = 600.0  # seconds to remove one folder with all that is in it


@dataclass(frozen=True)
class Place:
    """One name in an open folder; `controller` is who may change the folder, None for root alone."""

    path: Path
    folder: int
    controller: Owner | None

    @property
    def name(self) -> Path:
        """The last component, for calls relative to `folder`."""
        return Path(self.path.name)


@dataclass
class _Step:
    """Where a walk is: an open folder, and who may have put there what comes next."""

    folder: int
    shown: Path
    trusted: bool = True  # only root may change this folder and all above
    controller: Owner | None = None


class SafeFiles:
    """File operations of one installation; `service` is the account that OpenNebula runs as."""

    def __init__(self, service: Owner) -> None:
        self._service = service
        self._privileged = os.geteuid() == 0  # another user has no rights that a link could misuse

    def controller(self, path: Path) -> Owner | None:
        """Return who may change the folder of `path`, or the nearest folder above that exists."""
        while True:
            try:
                with self.at(path) as place:
                    return place.controller
            except FileNotFoundError:
                path = path.parent

    def inspect(self, path: Path) -> PathState | None:
        """Return what is at `path`, None for nothing; raise InstallError for an unsafe path."""
        try:
            with self.at(path) as place:
                return path_state.inspect(place.name, within=place.folder)
        except FileNotFoundError:
            return None

    def read(self, path: Path) -> bytes:
        """Return the content of a regular file; raise OSError, InstallError."""
        with self.at(path) as place:
            return path_state.read(place.name, within=place.folder)

    def copy_of(self, path: Path) -> bytes:
        """Return the content of a file; raise InstallError where its controller may not read it."""
        try:
            return self.read(path)
        except PermissionError:
            found, controller = self.inspect(path), self.controller(path) or self._service
            raise InstallError(_foreign(path, found.owner if found else controller, controller)) from None

    def names(self, folder: Path) -> list[str]:
        """Return the names in a folder; none when the folder does not exist."""
        with contextlib.suppress(FileNotFoundError), self.at(folder / "-") as place:
            return _listed(place.folder)
        return []

    def write(self, path: Path, content: bytes, mode: int, owner: Owner) -> None:
        """Replace whatever has this name, but a folder, by a new file."""
        with self.at(path) as place:
            draft = f".{path.name}.{secrets.token_hex(4)}"
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
            descriptor = os.open(draft, flags, 0o600, dir_fd=place.folder)
            try:
                with os.fdopen(descriptor, "wb") as file:
                    file.write(content)
                    file.flush()
                    os.fsync(descriptor)
                    _give(descriptor, place.controller or owner, mode)
                os.rename(draft, path.name, src_dir_fd=place.folder, dst_dir_fd=place.folder)
            except BaseException:
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(draft, dir_fd=place.folder)
                raise

    def make_folder(self, path: Path, mode: int, owner: Owner) -> None:
        """Make a folder, unless it is there; what else has the name is an InstallError."""
        with self.at(path) as place:
            try:
                os.mkdir(place.name, 0o700, dir_fd=place.folder)
            except FileExistsError:
                pass
            else:
                with _opened(place) as descriptor:
                    _give(descriptor, place.controller or owner, mode)
                return
        self.set_rights(path, mode, owner)

    def set_rights(self, path: Path, mode: int, owner: Owner) -> None:
        """Give a file or folder its owner and mode; a file of another owner is replaced by a copy."""
        with self.at(path) as place:
            found = path_state.inspect(place.name, within=place.folder)
            owner = place.controller or owner
            if found is None or found.kind not in ("file", "folder"):
                kind = "missing" if found is None else f"a {found.kind}"
                raise InstallError(f"{path} is {kind}: move it away, then run ./install.sh again")
            mine = place.controller is None or found.owner.uid == os.geteuid()
            if found.owner == owner or (found.kind == "folder" and mine):
                with _opened(place, folder=found.kind == "folder") as descriptor:
                    _give(descriptor, owner, mode)
                return
        if found.kind == "folder":
            raise InstallError(_foreign(path, found.owner, owner))
        self.write(path, self.copy_of(path), mode, owner)

    def give_folder(self, path: Path, owner: Owner, content: Mapping[str, str]) -> bool:
        """Give a folder of root's to `owner`; return False, with nothing changed, where that is unsafe.

        `content` has the name of everything that may be in it: a file's digest, or `FOLDER`. The open
        folder is used, even if its path leads elsewhere by then.
        """
        with self.at(path, identity=False) as place, _opened(place) as descriptor:
            found = os.fstat(descriptor)
            if found.st_uid != 0 or found.st_mode & 0o022 or not _holds_only(descriptor, content):
                return False
            os.chown(f"/proc/self/fd/{descriptor}", owner.uid, owner.gid)
            return True

    def remove(self, path: Path) -> None:
        """Remove a file or link, if it exists."""
        with contextlib.suppress(FileNotFoundError), self.at(path) as place:
            os.unlink(place.name, dir_fd=place.folder)

    def remove_folder(self, path: Path, *, wholly: bool) -> None:
        """Remove an empty folder, or one with all that is in it; leave anything else."""
        found = self.inspect(path)
        if found is None or found.kind != "folder":
            return
        if wholly:
            self._empty(path, found.owner)
        with contextlib.suppress(FileNotFoundError), self.at(path) as place:
            try:
                os.rmdir(place.name, dir_fd=place.folder)
            except OSError:
                if wholly:
                    raise

    def link(self, path: Path, target: str) -> None:
        """Make a link in place of whatever has this name, but a folder."""
        self.remove(path)
        with self.at(path) as place:
            os.symlink(target, place.name, dir_fd=place.folder)

    def rename(self, path: Path, name: str) -> None:
        """Give a file another name in the same folder."""
        with self.at(path) as place:
            os.rename(place.name, name, src_dir_fd=place.folder, dst_dir_fd=place.folder)

    def drafts(self, path: Path) -> list[Path]:
        """Return what a write to `path` that was killed left beside it."""
        form = re.compile(rf"\.{re.escape(path.name)}\.[a-z0-9_]{{8}}")
        return [path.parent / name for name in self.names(path.parent) if form.fullmatch(name)]

    @contextmanager
    def at(self, path: Path, *, identity: bool = True) -> Iterator[Place]:
        """Open the folder of `path`, and act as its controller inside the block.

        Raises InstallError for a component with an unexpected owner or type, FileNotFoundError.
        """
        with ExitStack() as stack:
            step = self._walk(path, stack, identity=identity)
            if self._privileged and not step.trusted and step.controller is None:
                raise InstallError(
                    f"{path.parent}: a group may change it or a folder above, and root works there: chmod g-w"
                )
            yield Place(path, step.folder, step.controller)

    def _walk(self, path: Path, stack: ExitStack, *, identity: bool) -> _Step:
        assert path.is_absolute(), path
        step, names, links = _root(stack), list(path.parent.parts[1:]), 0
        while names:
            name = names.pop(0)
            found = os.stat(name, dir_fd=step.folder, follow_symlinks=False)
            if stat.S_ISLNK(found.st_mode):
                links += 1
                target = Path(self._followed(step, name, found, links))
                step = _root(stack) if target.is_absolute() else step
                names = [*(part for part in target.parts if part != "/"), *names]
                continue
            step = self._entered(step, name, stack)
            if step.controller is not None and identity:
                stack.enter_context(acting_as(step.controller.uid, step.controller.gid))
        return step

    def _followed(self, step: _Step, name: str, found: os.stat_result, links: int) -> str:
        """Return where a link leads that only root can have made; raise InstallError for another."""
        trusted = step.trusted and found.st_uid == 0
        if self._privileged and not trusted:
            raise InstallError(
                f"{step.shown / name} is a link that {name_of(found.st_uid)} made or can replace:"
                " root does not follow it; put a folder in its place"
            )
        if links > _LINKS:
            raise InstallError(f"{step.shown / name}: too many links")
        return os.readlink(name, dir_fd=step.folder)

    def _entered(self, step: _Step, name: str, stack: ExitStack) -> _Step:
        shown = step.shown / name
        try:
            descriptor = os.open(name, _FOLDER, dir_fd=step.folder)
        except NotADirectoryError:
            raise InstallError(f"{shown} is not a folder: move it away") from None
        stack.callback(os.close, descriptor)
        found = os.fstat(descriptor)
        entered = _Step(descriptor, shown, step.trusted, step.controller)
        if self._privileged:
            self._refuse(entered, found)
        return self._judged(entered, found)

    def _refuse(self, step: _Step, found: os.stat_result) -> None:
        """Raise InstallError for an open folder of an unexpected owner or mode."""
        if found.st_uid not in (0, self._service.uid):
            owner, expected = name_of(found.st_uid), name_of(self._service.uid)
            raise InstallError(
                f"{step.shown} belongs to {owner}: expected root or {expected}; check it, then chown it"
            )
        if found.st_mode & stat.S_IWOTH and not found.st_mode & stat.S_ISVTX:
            raise InstallError(f"{step.shown}: every user may write there: chmod o-w {step.shown}")

    def _judged(self, step: _Step, found: os.stat_result) -> _Step:
        """Note who may change an open folder."""
        shared = bool(found.st_mode & stat.S_IWGRP) and not found.st_mode & stat.S_ISVTX
        theirs = found.st_uid == self._service.uid or (shared and found.st_gid == self._service.gid)
        if theirs and self._service.uid != 0:
            step.trusted, step.controller = False, self._service
        elif shared:
            step.trusted = False
        return step

    def _empty(self, path: Path, owner: Owner) -> None:
        """Remove what is in a folder, as its owner: that account may replace any of it meanwhile."""
        controller = self.controller(path / "-")
        inside = [str(path / name) for name in self.names(path)]
        if controller is None:
            for inner in map(Path, inside):
                shutil.rmtree(inner) if inner.is_dir() and not inner.is_symlink() else inner.unlink()
            return
        removal = ["xargs", "-0", "rm", "-rf", "--one-file-system", "--"]  # never through a link
        try:
            argv = command_as(controller.uid, removal)
            process.run(argv, timeout=_REMOVAL, input="\0".join(inside).encode("utf-8", "surrogateescape"))
        except process.CommandError as error:
            raise InstallError(f"{path}: {name_of(owner.uid)} cannot remove all of it: {error}") from error


def _listed(folder: int) -> list[str]:
    readable = os.open(".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=folder)
    try:
        return sorted(os.listdir(readable))  # noqa: PTH208 - a descriptor
    finally:
        os.close(readable)


def _holds_only(folder: int, content: Mapping[str, str]) -> bool:
    for name in _listed(folder):
        found = path_state.inspect(Path(name), within=folder)
        kind = "" if found is None else found.digest if found.kind == "file" else found.kind
        if not kind or content.get(name) != kind:
            return False
    return True


def _root(stack: ExitStack) -> _Step:
    descriptor = os.open("/", _FOLDER)
    stack.callback(os.close, descriptor)
    return _Step(descriptor, Path("/"))


@contextmanager
def _opened(place: Place, *, folder: bool = True) -> Iterator[int]:
    """Open what has the name, of the expected type; for rights only."""
    flags = _FOLDER if folder else os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC
    descriptor = os.open(place.name, flags, dir_fd=place.folder)
    try:
        if not folder and not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise InstallError(f"{place.path} is not a file: move it away")
        yield descriptor
    finally:
        os.close(descriptor)


def _give(descriptor: int, owner: Owner, mode: int) -> None:
    """Set owner, then mode (chown clears bits) of what is open, whatever its name is now."""
    found, opened = os.fstat(descriptor), f"/proc/self/fd/{descriptor}"
    if (found.st_uid, found.st_gid) != (owner.uid, owner.gid):
        os.chown(opened, owner.uid, owner.gid)
    if stat.S_IMODE(found.st_mode) != mode:
        Path(opened).chmod(mode)


def _foreign(path: Path, found: Owner, wanted: Owner) -> str:
    return (
        f"{path} belongs to {name_of(found.uid)}, in a folder that {name_of(wanted.uid)} may change:"
        f" check it, then chown -h {name_of(wanted.uid)} {path}"
    )
