"""Which migrations use this host's end of a tunnel: locks that the kernel releases when a process dies.

One file per tunnel holds a shared lock of every user; a process that is alone builds, or tears down. A
second lock makes "am I alone?" and what follows from it one step. No lock is ever held while another host is
waited for.
"""

import contextlib
import errno
import fcntl
import os
import stat
from typing import Callable, Iterator, Optional

from .errors import TunnelError, UnsafeError
from .waiting import until

FOLDER = "/var/tmp/onext-migrate"  # noqa: S108 (checked before use: ensure_folder); of this host (a home may be on NFS), not below what onehost sync deletes
_PATIENCE = 20.0  # seconds for the lock around building and tearing down, which takes well under one


class Refcount:
    """A shared use of one tunnel's end, from `acquire` to `release` or the end of the process."""

    def __init__(self, name: str, folder: str = FOLDER) -> None:
        self._name, self._folder = name, folder
        self._descriptor: Optional[int] = None

    def acquire(self, build: Callable[[], None]) -> bool:
        """Become a user; the first one builds. Return whether it was us."""
        with _mutex(self._folder):
            descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600)
            alone = _lock(descriptor, fcntl.LOCK_EX)
            try:
                if alone:
                    build()
                _lock(descriptor, fcntl.LOCK_SH)
            except BaseException:
                if alone:
                    os.unlink(self._path)
                os.close(descriptor)
                raise
            os.utime(self._path)  # so that no cleaner of old files takes a lock in use for an old one
            self._descriptor = descriptor
            return alone

    def release(self, tear_down: Callable[[], None]) -> bool:
        """Be a user no more; the last one tears down. Return whether it was us."""
        if self._descriptor is None:
            return False
        with _mutex(self._folder):
            last = _lock(self._descriptor, fcntl.LOCK_EX)
            try:
                if last:
                    tear_down()
                    os.unlink(self._path)
            finally:
                os.close(self._descriptor)
                self._descriptor = None
            return last

    @property
    def _path(self) -> str:
        return os.path.join(self._folder, self._name + ".users")


def users(name: str, folder: str = FOLDER) -> bool:
    """Tell whether this tunnel is in use now."""
    try:
        descriptor = os.open(os.path.join(folder, name + ".users"), os.O_RDWR)
    except FileNotFoundError:
        return False
    try:
        return not _lock(descriptor, fcntl.LOCK_EX)
    finally:
        os.close(descriptor)


def ensure_folder(folder: str) -> None:
    """Make the folder of locks; raise UnsafeError for one that another account made."""
    with contextlib.suppress(FileExistsError):
        os.mkdir(folder, 0o700)
    found = os.lstat(folder)
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid() or found.st_mode & 0o077:
        owner = f"uid {found.st_uid}, mode {stat.S_IMODE(found.st_mode):04o}"
        wanted = f"it must be a folder of uid {os.geteuid()} with mode 0700"
        raise UnsafeError(f"{folder} ({owner}): {wanted}: remove it as root on {os.uname()[1]}")


@contextlib.contextmanager
def _mutex(folder: str) -> Iterator[None]:
    ensure_folder(folder)
    descriptor = os.open(os.path.join(folder, "mutex"), os.O_RDWR | os.O_CREAT, 0o600)
    try:
        if not until(lambda: _lock(descriptor, fcntl.LOCK_EX), _PATIENCE, 0.01):
            raise TunnelError(f"{folder}/mutex: held by another process for {_PATIENCE:g} s")
        yield
    finally:
        os.close(descriptor)


def _lock(descriptor: int, how: int) -> bool:
    try:
        fcntl.flock(descriptor, how | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno not in (errno.EAGAIN, errno.EACCES):
            raise
        return False
    return True
