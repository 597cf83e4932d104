"""The worker's Unix socket: one request for each connection, from the endpoint or any local process.

It grants nothing: whoever can reach the endpoint can send the same. The first line of an answer is a status
of HTTP.
"""

from __future__ import annotations

from pathlib import Path

from hooks.edge import requests
from hooks.edge.office import NotReady, Office
from hooks.edge.secrets import SecretsError
from onext import log
from onext.oned.errors import OnedError
from onext.paths import Paths
from onext.unix_service import UnixService, problem

SOCKET = "join.sock"
_log = log.get("edge")


def place(paths: Paths) -> Path:
    """Return where the socket is."""
    return paths.run / "edge" / SOCKET


def opened(office: Office, file: Path, threads: int) -> UnixService:
    """Take requests for an office; raise OSError."""

    def answer(data: bytes) -> tuple[int, bytes]:
        try:
            return 200, office.handle(requests.read(data))
        except requests.Invalid as error:
            return 400, problem(str(error))
        except (NotReady, SecretsError) as error:
            return 503, problem(str(error))
        except OnedError as error:
            _log.warning("a request could not be processed: %s", error)
            return 503, problem("oned does not answer")
        except Exception:  # noqa: BLE001 - the outermost edge of a request: the others continue
            _log.exception("a request failed")
            return 500, problem("a fault of the worker: its log has it")

    return UnixService(file, answer, threads=threads, largest=requests.LARGEST)
