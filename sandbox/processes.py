"""The only module that runs other programs: run one to its end, keep one running, end all of them.

The process makes itself the reaper of orphans (PR_SET_CHILD_SUBREAPER), so that what a hook left behind
(a worker that detached itself) is found and ended together with the sandbox.
"""

import contextlib
import ctypes
import os
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

_SET_CHILD_SUBREAPER = 36
_GRACE = 3.0


@dataclass(frozen=True)
class Completed:
    """What a program left: exit code (255 where it got none), and its output."""

    code: int
    out: bytes
    err: bytes


class Children:
    """All programs that the sandbox started."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._ours: set[int] = set()
        self._strange: set[int] = set()
        self._ended = False

    def adopt_orphans(self) -> None:
        """Become the parent of whatever our children leave behind."""
        ctypes.CDLL(None).prctl(_SET_CHILD_SUBREAPER, 1, 0, 0, 0)

    def run(
        self,
        argv: Sequence[str],
        *,
        stdin: bytes,
        timeout: float | None,
        env: Mapping[str, str],
        cwd: Path | str,
    ) -> Completed:
        """Run a program in its own process group until *it* ends, as Ruby's capture3_timeout does.

        Processes that it left behind with its output open are not waited for. After `timeout` seconds
        the group gets SIGTERM and the code is 255.
        """
        with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
            process = self._start(argv, env=env, cwd=cwd, stdout=out, stderr=err)
            feeder = threading.Thread(target=_feed, args=(process, stdin), daemon=True)
            feeder.start()
            try:
                code = process.wait(timeout)
            except subprocess.TimeoutExpired:
                _end_group(process)
                return Completed(255, b"", f"Timeout executing {argv[0]}".encode())
            finally:
                self._forget(process)
            out.seek(0)
            err.seek(0)
            return Completed(code if code >= 0 else 255, out.read(), err.read())

    def keep(self, argv: Sequence[str], *, env: Mapping[str, str], log: Path) -> subprocess.Popen[bytes]:
        """Start a program that runs until the sandbox ends."""
        with log.open("ab") as file:
            return self._start(argv, env=env, cwd="/", stdout=file, stderr=file, stdin=subprocess.DEVNULL)

    def _start(
        self,
        argv: Sequence[str],
        *,
        env: Mapping[str, str],
        cwd: Path | str,
        stdout: IO[bytes],
        stderr: IO[bytes],
        stdin: int = subprocess.PIPE,
    ) -> subprocess.Popen[bytes]:
        with self._lock:
            if self._ended:
                raise OSError("the sandbox is ending")
            process = subprocess.Popen(
                argv,
                stdin=stdin,
                stdout=stdout,
                stderr=stderr,
                env=dict(env),
                cwd=cwd,
                start_new_session=True,
            )
            self._ours.add(process.pid)
            return process

    def _forget(self, process: subprocess.Popen[bytes]) -> None:
        with self._lock:
            self._ours.discard(process.pid)

    @contextlib.contextmanager
    def spared(self, pid: int) -> Iterator[None]:
        """Do not collect a child that another thread waits for."""
        with self._lock:
            self._ours.add(pid)
        yield
        with self._lock:
            self._ours.discard(pid)

    def reap(self) -> None:
        """Collect orphans that ended; never a process that a thread here waits for.

        One that did not exist at the last check may belong to a thread that has not registered it yet (see
        `spared`).
        """
        with self._lock:
            strange = _children(os.getpid()) - self._ours
            for pid in strange & self._strange:
                with contextlib.suppress(ChildProcessError):
                    os.waitpid(pid, os.WNOHANG)
            self._strange = strange

    def end_all(self) -> None:
        """End every descendant: SIGTERM, and after a moment SIGKILL."""
        with self._lock:
            self._ended = True
        for number, grace in ((signal.SIGTERM, _GRACE), (signal.SIGKILL, _GRACE)):
            end = time.monotonic() + grace
            _signal(_descendants(), number)
            while _descendants() and time.monotonic() < end:
                _collect()
                time.sleep(0.02)
            _collect()


def _feed(process: subprocess.Popen[bytes], stdin: bytes) -> None:
    if process.stdin is None:
        return
    with contextlib.suppress(OSError), process.stdin:
        process.stdin.write(stdin)


def _end_group(process: subprocess.Popen[bytes]) -> None:
    for number in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(_GRACE)
            return


def _children(pid: int) -> set[int]:
    found: set[int] = set()
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        with contextlib.suppress(OSError):
            found.update(int(child) for child in task.read_text().split())
    return found


def _descendants() -> set[int]:
    found: set[int] = set()
    waiting = [os.getpid()]
    while waiting:
        below = _children(waiting.pop()) - found
        found |= below
        waiting.extend(below)
    return {pid for pid in found if not _is_zombie(pid)}


def _is_zombie(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


def _signal(pids: set[int], number: int) -> None:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)


def _collect() -> None:
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
