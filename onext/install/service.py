"""The worker's process: a systemd unit where systemd runs, else started by us as a hook starts it."""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import signal
import sys
import time
from pathlib import Path

from onext import process, spool
from onext.account import command_as
from onext.install import versions
from onext.install.front_end import FrontEnd, InstallError

UNIT = "onext-worker.service"
OTHERS = (  # switched on by a person
    "onext-exporter.service",
    "onext-gateway.service",
    "onext-edge-endpoint.service",
    "onext-edge-hub.service",
)
_TIMEOUT = 90.0
_PATIENCE = 30.0  # seconds for a worker to finish what it has in work


def settle(front_end: FrontEnd, *, restart: bool, units: bool) -> None:
    """Let one worker of the current version run; it is left alone where nothing changed."""
    if front_end.systemd:
        if units:
            _systemctl("daemon-reload")
        _systemctl("enable", "--quiet", UNIT)
        _systemctl("restart" if restart or units else "start", UNIT)
        if restart or units:
            _systemctl("try-restart", *OTHERS, check=False)  # where they run
        return
    if restart:
        _end_as_service(front_end)
    if not _awake(front_end):
        _as_service(
            front_end, [versions.python(front_end.paths.current), "-I", "-m", "onext.install", "start-worker"]
        )
        _wait_until_awake(front_end)


def _wait_until_awake(front_end: FrontEnd) -> None:
    """Return when the worker listens, or when it should: `--check` reports one that does not."""
    deadline = time.monotonic() + _PATIENCE
    while not _awake(front_end) and time.monotonic() < deadline:
        time.sleep(0.2)


def _awake(front_end: FrontEnd) -> bool:
    """Wake the worker, as its own account: the name of its pipe may lead anywhere."""
    with front_end.as_service():
        return spool.wake(str(front_end.paths.spool))


def renew(front_end: FrontEnd) -> None:
    """Let systemd read changed units, and start those that run once more."""
    if front_end.systemd:
        _systemctl("daemon-reload")
        _systemctl("try-restart", UNIT, *OTHERS, check=False)


def stop(front_end: FrontEnd) -> None:
    """End the worker."""
    if front_end.systemd:
        _systemctl("disable", "--quiet", "--now", UNIT, *OTHERS, check=False)
    _end_as_service(front_end)


def reload(front_end: FrontEnd) -> None:
    """Let systemd forget what was removed."""
    if front_end.systemd:
        _systemctl("daemon-reload")


def sync(front_end: FrontEnd) -> None:
    """Let the worker process all existing objects: state hooks fire only on a change."""
    command = [str(front_end.paths.bin / "onext"), "sync"]
    _as_service(front_end, command, check=False)  # with oned down the worker's round does it


def active() -> bool:
    """Whether systemd runs the worker, now and after a boot."""
    return all(
        _systemctl(word, "--quiet", UNIT, check=False).exit_code == 0 for word in ("is-active", "is-enabled")
    )


def end(front_end: FrontEnd) -> None:
    """End the worker as its own account; its lock names the process, and that account owns the lock."""
    _end(front_end)


def start_detached(front_end: FrontEnd) -> None:
    """Start a worker that outlives us, as a hook does."""
    spool.keep(str(front_end.paths.spool), str(front_end.paths.bin / "onext"))


def holder(lock: Path) -> int | None:
    """Return the process that holds a flock on `lock`, None without one (proc(5), /proc/locks).

    The device in /proc/locks is not that of stat(2) on overlayfs and btrfs: the process's own files decide.
    """
    try:
        found = lock.stat()
    except FileNotFoundError:
        return None
    held = re.findall(
        rf"(?m)^\d+: FLOCK +\S+ +WRITE (\d+) \w+:\w+:{found.st_ino} ", Path("/proc/locks").read_text()
    )
    return next((int(pid) for pid in held if _has_open(int(pid), found)), None)


def _has_open(pid: int, file: os.stat_result) -> bool:
    for descriptor in Path(f"/proc/{pid}/fd").glob("*"):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            if os.path.samestat(descriptor.stat(), file):
                return True
    return False


def _end(front_end: FrontEnd) -> None:
    """End the worker and its supervisor, and wait for both: it finishes what it has in work."""
    lock, keeper = front_end.paths.var / "worker.lock", front_end.paths.spool / spool.KEEPER
    deadline = time.monotonic() + _PATIENCE
    while (pid := holder(lock)) is not None or not _free(keeper):
        late = time.monotonic() > deadline
        for number in filter(None, (_parent(pid) if late else None, pid)):
            with contextlib.suppress(ProcessLookupError):
                os.kill(number, signal.SIGKILL if late else signal.SIGTERM)  # the spool keeps its work
        if late and pid is None:
            raise InstallError(f"{keeper} is held by a process that does not end: fuser -k {keeper}")
        time.sleep(0.2)


def _parent(pid: int | None) -> int | None:
    """Return the keeper of a worker: its parent, where that is one (onext.spool.keep)."""
    status = _read(f"/proc/{pid}/stat")
    parent = int(status.rpartition(")")[2].split()[1]) if status else 0
    return parent if "until" in _read(f"/proc/{parent}/cmdline") else None


def _read(file: str) -> str:
    try:
        return Path(file).read_text()
    except (FileNotFoundError, ProcessLookupError):
        return ""


def _free(lock: Path) -> bool:
    try:
        descriptor = os.open(lock, os.O_RDWR)
    except FileNotFoundError:
        return True
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    finally:
        os.close(descriptor)
    return True


def _end_as_service(front_end: FrontEnd) -> None:
    """End the worker in a process that can signal nothing but its own account's processes."""
    if os.geteuid() == front_end.service.uid:
        _end(front_end)
    else:
        _as_service(front_end, [sys.executable, "-I", "-m", "onext.install", "end-worker"])


def _as_service(front_end: FrontEnd, argv: list[str], *, check: bool = True) -> None:
    """Run a command as the account that the parts run as."""
    try:
        process.run(command_as(front_end.service.uid, argv), timeout=_TIMEOUT, check=check)
    except process.CommandError as error:
        raise InstallError(f"the worker cannot be started or ended: {error}") from error


def _systemctl(*arguments: str, check: bool = True) -> process.Completed:
    return process.run(["systemctl", *arguments], timeout=_TIMEOUT, check=check)
