"""The one module that runs subprocesses: argument lists, one deadline, bounded output, a complete error."""

from __future__ import annotations

import os
import selectors
import shlex
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import IO

_CHUNK = 65536
_SHOWN = 400


@dataclass(frozen=True)
class Completed:
    """What a command left behind; `exit_code` is negative for a signal, as in the subprocess module."""

    argv: tuple[str, ...]
    exit_code: int
    stdout: bytes
    stderr: bytes


class CommandError(Exception):
    """A command could not be started, failed, took too long or printed too much.

    `brief` is the message without the command.
    """

    def __init__(self, argv: Sequence[str], reason: str, exit_code: int | None, output: bytes) -> None:
        self.argv = tuple(argv)
        self.exit_code = exit_code
        self.output = output
        shown = output[-_SHOWN:].decode("utf-8", "backslashreplace").strip()
        self.brief = reason + (f": {shown}" if shown else "")
        super().__init__(f"{shlex.join(self.argv)}: {self.brief}")


def run(
    argv: Sequence[str],
    *,
    timeout: float,
    input: bytes | None = None,  # noqa: A002 - the word of the subprocess module
    max_output: int = 1_048_576,
    env: Mapping[str, str] | None = None,
    check: bool = True,
) -> Completed:
    """Run `argv` for at most `timeout` seconds and return what it printed.

    The command gets a separate session, so that a timeout ends its children too. More than
    `max_output` bytes on either stream end it. Raises CommandError; a non-zero exit only with `check`.
    """
    deadline = time.monotonic() + timeout
    try:
        process = subprocess.Popen(
            argv,
            stdin=subprocess.PIPE if input is not None else subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=env,
            start_new_session=True,
        )
    except (OSError, ValueError) as error:  # ValueError: a zero byte in an argument
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise CommandError(argv, f"cannot be started: {reason}", None, b"") from error
    with process:
        try:
            stdout, stderr = _Pipes(process, input, max_output).exchange(deadline)
            process.wait(max(0.0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            raise CommandError(argv, f"still running after {timeout:g} s", None, b"") from None
        except OverflowError:
            raise CommandError(argv, f"more than {max_output} bytes of output", None, b"") from None
        finally:
            _end(process)
    if check and process.returncode != 0:
        raise CommandError(argv, f"exit code {process.returncode}", process.returncode, stderr or stdout)
    return Completed(tuple(argv), process.returncode, stdout, stderr)


def _end(process: subprocess.Popen[bytes]) -> None:
    if process.returncode is None:  # not reaped yet, though perhaps dead: its process group still exists
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


class _Pipes:
    """The three streams of a child, moved without a thread and without growing past a limit."""

    def __init__(self, process: subprocess.Popen[bytes], data: bytes | None, limit: int) -> None:
        self._argv = process.args
        self._limit = limit
        self._left = memoryview(data or b"")
        self._selector = selectors.DefaultSelector()
        self._read: dict[IO[bytes], bytearray] = {}
        for stream in (process.stdout, process.stderr):
            assert stream is not None
            self._read[stream] = bytearray()
            self._selector.register(stream, selectors.EVENT_READ)
        if process.stdin is not None:
            os.set_blocking(process.stdin.fileno(), False)
            self._selector.register(process.stdin, selectors.EVENT_WRITE)

    def exchange(self, deadline: float) -> tuple[bytes, bytes]:
        """Feed and read until both outputs end or the deadline (monotonic) passes.

        Raises TimeoutExpired or OverflowError.
        """
        with self._selector:
            while self._selector.get_map():
                left = deadline - time.monotonic()
                events = self._selector.select(left) if left > 0 else []
                if not events:
                    raise subprocess.TimeoutExpired(self._argv, left)
                for key, _ in events:
                    self._move(key.fileobj)  # type: ignore[arg-type]  # only files are registered
        stdout, stderr = self._read.values()
        return bytes(stdout), bytes(stderr)

    def _move(self, stream: IO[bytes]) -> None:
        if stream not in self._read:
            self._feed(stream)
            return
        chunk = os.read(stream.fileno(), _CHUNK)
        buffer = self._read[stream]
        buffer += chunk
        if len(buffer) > self._limit:
            raise OverflowError
        if not chunk:
            self._selector.unregister(stream)

    def _feed(self, stream: IO[bytes]) -> None:
        try:
            self._left = self._left[os.write(stream.fileno(), self._left[:_CHUNK]) :]
        except BrokenPipeError:
            self._left = self._left[:0]
        if not self._left:
            self._selector.unregister(stream)
            stream.close()
