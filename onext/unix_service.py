"""Requests over a Unix socket: one for each connection, answered by a status of HTTP, a newline and a body.

The processes that face the network have no rights; the worker answers them here. Imports the standard
library only, because the clients are such processes.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

WAITING = 512  # connections that the kernel and the threads keep waiting
ARRIVES = 10.0  # seconds in which a whole request must have arrived
LONGEST_NAME = 107  # bytes of a socket's name: sun_path of unix(7)
_CHUNK = 65_536
_MOST_STRANGERS = 100
_CREDENTIALS = struct.Struct("3i")  # pid, uid and gid: struct ucred of unix(7)
Answer = Callable[[bytes], tuple[int, bytes]]
_log = logging.getLogger("onext.socket")


class TooLong(ValueError):
    """More bytes than a request or an answer may have."""


class UnixService:
    """Takes requests until it is closed.

    `answer` gets each request of at most `largest` bytes, in one of `threads`; with `peers`, only those of
    processes whose user id it accepts.
    """

    def __init__(
        self,
        file: Path,
        answer: Answer,
        *,
        threads: int,
        largest: int,
        peers: Callable[[int], bool] | None = None,
        arrives: float = ARRIVES,
    ) -> None:
        self._file, self._answer, self._largest = file, answer, largest
        self._peers, self._arrives = peers, arrives
        self._strangers: set[int] = set()  # each is reported once
        self._socket = _listening(file)
        self._room = threading.BoundedSemaphore(WAITING)
        self._pool = ThreadPoolExecutor(threads, file.stem)
        self._thread = threading.Thread(target=self._accept, name=f"{file.stem}-socket", daemon=True)
        self._thread.start()

    @property
    def alive(self) -> bool:
        """Whether requests are taken."""
        return self._thread.is_alive()

    def close(self) -> None:
        """End; what is in work is finished."""
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        self._pool.shutdown(cancel_futures=True)
        self._file.unlink(missing_ok=True)

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            if self._refused(connection) or not self._room.acquire(blocking=False):
                connection.close()
                continue
            try:
                self._pool.submit(self._serve, connection)
            except RuntimeError:  # it is being closed
                connection.close()
                return

    def _refused(self, connection: socket.socket) -> bool:
        """Refuse another user's process at once: it must not keep a thread waiting."""
        if self._peers is None or self._peers(peer(connection)):
            return False
        if (user := peer(connection)) not in self._strangers and len(self._strangers) < _MOST_STRANGERS:
            self._strangers.add(user)
            _log.warning("%s: requests of user id %d are refused", self._file.name, user)
        with contextlib.suppress(OSError):
            connection.setblocking(False)
            connection.send(b"403\n" + problem("this user may not send requests here"))
        return True

    def _serve(self, connection: socket.socket) -> None:
        try:
            with connection:
                status, body = self._answered(connection)
                connection.settimeout(self._arrives)
                connection.sendall(f"{status}\n".encode() + body)
        except OSError as error:
            _log.info("%s: a request was given up: %s", self._file.name, error)
        finally:
            self._room.release()

    def _answered(self, connection: socket.socket) -> tuple[int, bytes]:
        try:
            data = received(connection, self._largest, self._arrives)
        except TooLong:
            return 413, problem(f"more than {self._largest} bytes")
        try:
            return self._answer(data)
        except Exception as error:  # noqa: BLE001 - the outermost edge of a request: the others continue
            # no traceback: its lines may quote what the request holds
            _log.error("%s: a request failed: %s", self._file.name, type(error).__name__)
            return 500, problem("a fault of the worker; its log names it")


def _listening(file: Path) -> socket.socket:
    if not file.parent.is_dir():
        file.parent.mkdir(parents=True, exist_ok=True)
        file.parent.chmod(0o755)  # whatever the umask: the worker's unit has 0027
    draft = file.with_name(f".{file.name}.{os.getpid()}")
    draft.unlink(missing_ok=True)
    made = socket.socket(socket.AF_UNIX)
    with address(draft) as name:
        made.bind(name)
    draft.chmod(0o666)  # users that systemd creates have no group here; `peers` decides
    made.listen(WAITING)
    draft.replace(file)  # from a worker that was killed, one may be left
    return made


@contextlib.contextmanager
def address(file: Path) -> Iterator[str]:
    """Return a name for a socket that the kernel takes: in a deep folder, one by way of its descriptor."""
    if len(os.fsencode(file)) <= LONGEST_NAME:
        yield str(file)
        return
    folder = os.open(file.parent, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{folder}/{file.name}"
    finally:
        os.close(folder)


def peer(connection: socket.socket) -> int:
    """Return the user id of the process that connected."""
    found = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    return int(_CREDENTIALS.unpack(found)[1])


def received(connection: socket.socket, largest: int, seconds: float) -> bytes:
    """Return what a peer sends until it ends its side; raise TooLong, or OSError (also where it is slow)."""
    ends, data = time.monotonic() + seconds, bytearray()
    while True:
        left = ends - time.monotonic()
        if left <= 0:
            raise TimeoutError("it did not come in time")
        connection.settimeout(left)
        try:
            chunk = connection.recv(_CHUNK)
        except ConnectionResetError:  # it answered before it had read all
            chunk = b""
        if not chunk:
            return bytes(data)
        data += chunk
        if len(data) > largest:
            raise TooLong


def ask(file: Path, data: bytes, *, seconds: float, largest: int) -> tuple[int, bytes]:
    """Return status and body of a service's answer; raise OSError, or ValueError for an invalid answer."""
    with socket.socket(socket.AF_UNIX) as stream:
        stream.settimeout(seconds)
        with address(file) as name:
            stream.connect(name)
        with contextlib.suppress(BrokenPipeError):  # it has refused this before it read all
            stream.sendall(data)
            stream.shutdown(socket.SHUT_WR)
        answer = received(stream, largest, seconds)
    status, _, body = answer.partition(b"\n")
    return int(status), body


def problem(text: str) -> bytes:
    """Return the body that states a problem."""
    return json.dumps({"error": text[:300]}).encode()
