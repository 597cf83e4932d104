"""The worker's side of the spool: take events and keys, give them up when done, find them after a crash."""

from __future__ import annotations

import logging
import os
import re
import stat
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from onext import spool
from onext.part import Key

_LARGEST = 200  # bytes of a spool file
_MOST_REFUSED = 100  # files that are kept aside
_NUMBER = r"(0|[1-9][0-9]{0,9})"
_EVENT = re.compile(rf"{spool.EVENT}\.(host|vm|call)\.{_NUMBER}\.(-1|{_NUMBER})\.{_NUMBER}", re.ASCII)
_log = logging.getLogger("onext.worker")


@dataclass(frozen=True)
class Taken:
    """A file of the spool: an event with the object's state, or a key of one part."""

    file: str
    resource: str
    id: int
    state: int = -1
    lcm: int = 0
    key: Key | None = None

    @classmethod
    def parse(cls, name: str) -> Taken:
        """Read a file's name; raise ValueError."""
        if found := _EVENT.fullmatch(name):
            return cls(name, found[1], int(found[2]), int(found[3]), int(found[5]))
        key = Key.parse(name)
        return cls(name, key.resource, key.id, key=key)


@dataclass
class Inbox:
    """The folder `spool/`."""

    folder: Path
    _stuck: set[str] = field(default_factory=set)  # what can neither be taken nor put aside, reported once

    def prepare(self) -> None:
        """Make the folders and the FIFO, and put back what a killed worker had taken."""
        for name in (spool.REFUSED, spool.INCOMING, spool.TAKEN):
            self._make(name)
        wake = self.folder / spool.WAKE
        if not wake.is_fifo():
            if os.path.lexists(wake):
                self._refuse(wake, ValueError(f"{wake} is not a FIFO"))
            os.mkfifo(wake, 0o640)
        for file in self._files(spool.TAKEN):
            try:
                _regular(file)
                file.rename(self.folder / spool.INCOMING / file.name)
            except (OSError, ValueError) as error:
                self._refuse(file, error)

    def take(self) -> list[Taken]:
        """Take everything that waits, the oldest first; what is invalid is put aside and named in the log."""
        files = [f for f in self._files(spool.INCOMING) if not f.name.startswith(".")]
        taken = (self._take(file) for file in sorted(files, key=_changed))
        return [item for item in taken if item is not None]

    def done(self, name: str) -> None:
        """Forget a file that was taken; one that cannot be removed only means that it is done once more."""
        try:
            (self.folder / spool.TAKEN / name).unlink(missing_ok=True)
        except OSError as error:
            self._report("done", f"{self.folder / spool.TAKEN}: {error.strerror}")

    def waiting(self) -> list[tuple[str, float]]:
        """Return the name and age in seconds of everything that was not done yet."""
        files = [f for name in (spool.INCOMING, spool.TAKEN) for f in self._files(name) if f.name[0] != "."]
        return [(file.name, age) for file in files if (age := _age(file)) is not None]

    def _make(self, name: str) -> None:
        """Make a folder of the spool; anything else of that name is moved away."""
        folder = self.folder / name
        if os.path.lexists(folder) and (folder.is_symlink() or not folder.is_dir()):
            folder.rename(self.folder / f"{name}.{time.time_ns()}")
            _log.error("spool: %s was not a folder; it was moved away", folder)
        folder.mkdir(mode=0o750, parents=True, exist_ok=True)

    def _files(self, name: str) -> Iterator[Path]:
        try:
            yield from list((self.folder / name).iterdir())
        except (FileNotFoundError, NotADirectoryError):
            with suppress(OSError):
                self._make(name)
        except OSError as error:
            self._report(name, f"{self.folder / name}: {error.strerror}")

    def _take(self, file: Path) -> Taken | None:
        try:
            _check(file)
            item = Taken.parse(file.name)
        except FileNotFoundError:
            return None  # removed meanwhile
        except (OSError, ValueError) as error:
            self._refuse(file, error)
            return None
        try:
            file.rename(self.folder / spool.TAKEN / file.name)
        except OSError as error:  # a folder of that name in taken/, or a read-only file system
            self._report(file.name, f"{file} cannot be taken: {error.strerror}; it waits")
            return None
        return item

    def _refuse(self, file: Path, reason: Exception) -> None:
        """Put an invalid file aside under a name that is free."""
        folder = self.folder / spool.REFUSED
        aside = folder / file.name
        if os.path.lexists(aside):
            aside = folder / f"{file.name[:200]}.{time.time_ns()}"
        try:
            file.rename(aside)
        except OSError as error:
            self._report(file.name, f"{reason}; it cannot be moved to {folder}: {error.strerror}")
            return
        _log.error("spool: %s; moved to %s", reason, aside)
        self._prune(folder)

    def _prune(self, folder: Path) -> None:
        """Remove the oldest files that were refused when there are many; folders are left to a person."""
        files = sorted((f for f in self._files(folder.name) if not f.is_dir()), key=_changed)
        for file in files[:-_MOST_REFUSED]:
            file.unlink(missing_ok=True)

    def _report(self, name: str, message: str) -> None:
        if name not in self._stuck and len(self._stuck) < 1000:
            self._stuck.add(name)
            _log.error("spool: %s", message)


def _changed(file: Path) -> float:
    try:
        return file.lstat().st_mtime
    except OSError:
        return 0.0


def _age(file: Path) -> float | None:
    """Return the seconds since the event; None for a file that was done meanwhile or is not valid."""
    try:
        return spool.age(file.read_bytes(), file.name)
    except (OSError, ValueError):
        return None


def _regular(file: Path) -> os.stat_result:
    found = file.lstat()
    if not stat.S_ISREG(found.st_mode) or found.st_uid not in (0, os.geteuid()):
        raise ValueError(f"{file.name}: not a regular file of this user")
    return found


def _check(file: Path) -> None:
    """Raise ValueError unless the file is one that a hook wrote whole."""
    if _regular(file).st_size > _LARGEST:
        raise ValueError(f"{file.name}: too large for a spool file")
    spool.age(file.read_bytes(), file.name)
