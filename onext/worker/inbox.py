"""The worker's side of the spool: take keys, give them up when done, find them again after a crash."""

from __future__ import annotations

import logging
import os
import stat
from dataclasses import dataclass
from pathlib import Path

from onext import spool
from onext.part import Key

_LARGEST = 200  # bytes of a spool file
_log = logging.getLogger("onext.worker")


@dataclass(frozen=True)
class Inbox:
    """The folder `spool/`."""

    folder: Path

    def prepare(self) -> None:
        """Make the folders and the FIFO, and put back what a killed worker had taken."""
        for name in (spool.INCOMING, spool.TAKEN, spool.REFUSED):
            (self.folder / name).mkdir(mode=0o750, parents=True, exist_ok=True)
        if not (self.folder / spool.WAKE).is_fifo():
            os.mkfifo(self.folder / spool.WAKE, 0o640)
        for file in (self.folder / spool.TAKEN).iterdir():
            fresh = self.folder / spool.INCOMING / file.name
            if fresh.exists():
                file.unlink()
            else:
                file.rename(fresh)

    def take(self) -> list[Key]:
        """Take every key that waits, the oldest first; what is not ours is put aside and named in the log."""
        files = [f for f in (self.folder / spool.INCOMING).iterdir() if not f.name.startswith(".")]
        keys = [self._take(file) for file in sorted(files, key=lambda f: f.lstat().st_mtime)]
        return [key for key in keys if key is not None]

    def done(self, key: Key) -> None:
        """Forget a key that was taken."""
        (self.folder / spool.TAKEN / str(key)).unlink(missing_ok=True)

    def waiting(self) -> list[tuple[str, float]]:
        """Return the name and age in seconds of everything that was not done yet."""
        files = [f for name in (spool.INCOMING, spool.TAKEN) for f in (self.folder / name).glob("[!.]*")]
        return [(file.name, age) for file in files if (age := _age(file)) is not None]

    def _take(self, file: Path) -> Key | None:
        try:
            _check(file)
            key = Key.parse(file.name)
        except (OSError, ValueError) as error:
            _log.error("spool: %s; moved to %s", error, self.folder / spool.REFUSED)
            file.rename(self.folder / spool.REFUSED / file.name)
            return None
        file.rename(self.folder / spool.TAKEN / file.name)
        return key


def _age(file: Path) -> float | None:
    """Return the seconds since the event; None for a file that was done meanwhile or is not ours."""
    try:
        return spool.age(file.read_bytes(), file.name)
    except (OSError, ValueError):
        return None


def _check(file: Path) -> None:
    """Raise ValueError unless the file is one that a hook of ours wrote whole."""
    found = file.lstat()
    if not stat.S_ISREG(found.st_mode) or found.st_uid not in (0, os.geteuid()):
        raise ValueError(f"{file.name}: not a file of ours")
    if found.st_size > _LARGEST:
        raise ValueError(f"{file.name}: too large for a spool file of ours")
    spool.age(file.read_bytes(), file.name)
