"""The worker's Unix socket: one request for each connection, from the endpoint or any local process.

It grants nothing: whoever can reach the endpoint can send the same. The first line of an answer is a status
of HTTP.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from hooks.edge import requests
from hooks.edge.office import NotReady, Office
from hooks.edge.secrets import SecretsError
from onext import log
from onext.oned.errors import OnedError
from onext.paths import Paths

SOCKET = "join.sock"
_WAITING = 512  # connections that the kernel and the threads keep waiting
_PATIENCE = 10.0  # seconds in which a request must have arrived
_log = log.get("edge")


def place(paths: Paths) -> Path:
    """Return where the socket is."""
    return paths.run / "edge" / SOCKET


class Counter:
    """Takes requests until it is closed."""

    def __init__(self, office: Office, file: Path, threads: int) -> None:
        self._office, self._file = office, file
        file.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        draft = file.with_name(f".{file.name}.{os.getpid()}")
        with contextlib.suppress(FileNotFoundError):
            draft.unlink()
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.bind(str(draft))
        draft.chmod(0o666)
        self._socket.listen(_WAITING)
        draft.replace(file)  # from a worker that was killed, one may be left
        self._room = threading.BoundedSemaphore(_WAITING)
        self._pool = ThreadPoolExecutor(threads, "edge-requests")
        self._thread = threading.Thread(target=self._accept, name="edge-socket", daemon=True)
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
            if not self._room.acquire(blocking=False):
                connection.close()
                continue
            try:
                self._pool.submit(self._serve, connection)
            except RuntimeError:  # it is being closed
                connection.close()
                return

    def _serve(self, connection: socket.socket) -> None:
        try:
            with connection:
                connection.settimeout(_PATIENCE)
                status, body = self._answer(_received(connection))
                connection.sendall(f"{status}\n".encode() + body)
        except OSError as error:
            _log.info("a request was given up: %s", error)
        finally:
            self._room.release()

    def _answer(self, data: bytes) -> tuple[int, bytes]:
        try:
            return 200, self._office.handle(requests.read(data))
        except requests.Invalid as error:
            return 400, _problem(str(error))
        except (NotReady, SecretsError) as error:
            return 503, _problem(str(error))
        except OnedError as error:
            _log.warning("a request could not be processed: %s", error)
            return 503, _problem("oned does not answer")
        except Exception:  # noqa: BLE001 - the outermost edge of a request: the others continue
            _log.exception("a request failed")
            return 500, _problem("a fault of the worker: its log has it")


def _received(connection: socket.socket) -> bytes:
    data = bytearray()
    while len(data) <= requests.LARGEST and (chunk := connection.recv(requests.LARGEST)):
        data += chunk
    return bytes(data)


def _problem(text: str) -> bytes:
    return json.dumps({"error": text[:300]}).encode()
