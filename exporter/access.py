"""Who may connect and ask, as web.config and the files that it names are now, not when we started."""

from __future__ import annotations

import logging
import ssl
import threading
from pathlib import Path
from typing import NamedTuple

from exporter.login import Users
from onext.webconfig import WebConfigError, context, load

_log = logging.getLogger("onext.exporter")


class Gate(NamedTuple):
    """The users, the TLS of new connections, and the files behind both, as they were when they were read."""

    users: Users
    tls: ssl.SSLContext | None
    files: dict[Path, tuple[int, ...]]

    @property
    def changed(self) -> bool:
        """Tell whether a file is another than the one that was read."""
        return any(_stamp(file) != stamp for file, stamp in self.files.items())


class Access:
    """The gate, made anew when one of its files has changed: a renewed certificate needs no restart."""

    def __init__(self, file: Path | None) -> None:
        """Read the file, None for a server without a guard. Raises WebConfigError."""
        self._file = file
        self._lock = threading.Lock()
        self._gate = open_gate() if file is None else read(file)
        self._refused = ""

    def gate(self) -> Gate:
        """Return the gate; raise WebConfigError where the files cannot be used now."""
        with self._lock:
            if self._file is not None and (self._refused or self._gate.changed):
                self._renew(self._file)
            return self._gate

    def _renew(self, file: Path) -> None:
        try:
            self._gate = read(file)
        except WebConfigError as error:
            if str(error) != self._refused:
                _log.error("every request is refused until the file is corrected: %s", error)
            self._refused = str(error)
            raise
        _log.info("%s: read again, it or a file that it names has changed", file)
        self._refused = ""


def open_gate() -> Gate:
    """Return the gate of a server without web.config."""
    return Gate(Users({}), None, {})


def read(file: Path) -> Gate:
    """Return the gate that the file describes; raise WebConfigError."""
    stamps = {file: _stamp(file)}
    web, folder = load(file), file.parent
    tls = web.tls_server_config
    if tls is None:
        return Gate(Users(web.basic_auth_users), None, stamps)
    named = [tls.cert_file, tls.key_file, tls.client_ca_file]
    stamps |= {folder / name: _stamp(folder / name) for name in named if name}
    return Gate(Users(web.basic_auth_users), context(tls, folder), stamps)


def _stamp(file: Path) -> tuple[int, ...]:
    try:
        found = file.stat()
    except OSError:
        return ()
    return found.st_mtime_ns, found.st_size, found.st_ino
