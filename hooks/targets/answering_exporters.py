"""Which hosts run an exporter that not every host has: those that once answered on its port.

OpenNebula's patch_datasources.rb takes the hosts that answer while it runs. Here an exporter that answered
once stays a target until its host is deleted, so that a failed exporter raises an alert.
"""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Collection, Iterable
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import suppress
from pathlib import Path

from onext import atomic

FILE = "answering-exporters.json"  # in the state folder: host -> ports
AGAIN = 600.0  # seconds until a port that did not answer is tried again
PATIENCE = 1.0  # seconds for one connection
BUDGET = 3.0  # seconds for all of a pass
_THREADS = 64
_MOST = 2000  # ports of one pass; the rest is tried by the next
_LARGEST = 8_000_000  # bytes of the file
Port = tuple[str, int]  # a host's name and a port


class Answering:
    """The ports that answered, kept over restarts."""

    def __init__(self, file: Path | None = None) -> None:
        self._file = file
        self._known: set[Port] | None = None  # None: not read yet
        self._due: dict[Port, float] = {}

    def of(self, hosts: Collection[str], up: Iterable[str], ports: Collection[int]) -> frozenset[Port]:
        """Return which of the ports answered on which host; ask those of hosts that are `up` and due."""
        known = self._known = _read(self._file) if self._known is None else self._known
        now, before = time.monotonic(), frozenset(known)
        unknown = ((host, port) for host in up for port in ports if (host, port) not in known)
        due = [one for one in unknown if self._due.get(one, now) <= now][:_MOST]
        self._due |= dict.fromkeys(due, now + AGAIN)
        pool = ThreadPoolExecutor(_THREADS, "exporters")
        asked = {pool.submit(_answers, *one): one for one in due}
        done = wait(asked, timeout=BUDGET).done
        pool.shutdown(wait=False, cancel_futures=True)
        known |= {asked[one] for one in done if not one.cancelled() and one.result()}
        known &= {(host, port) for host, port in known if host in hosts}
        self._due = {one: due for one, due in self._due.items() if one[0] in hosts}
        if known != before:
            _write(self._file, known)
        return frozenset((host, port) for host, port in known if port in ports)


def _answers(host: str, port: int) -> bool:
    try:
        with socket.create_connection((host, port), PATIENCE):
            return True
    except (OSError, UnicodeError):
        return False


def _read(file: Path | None) -> set[Port]:
    """Return the content of the file; an unreadable file counts as empty."""
    try:
        if file is None or file.stat().st_size > _LARGEST:
            return set()
        document = json.loads(file.read_bytes())
        return {(str(host), int(port)) for host, ports in document.items() for port in ports}
    except (OSError, ValueError, TypeError, AttributeError, RecursionError):
        return set()


def _write(file: Path | None, known: Iterable[Port]) -> None:
    """Write what is known; with a full disk the ports are asked again after a restart."""
    if file is None:
        return
    document: dict[str, list[int]] = {}
    for host, port in sorted(known):
        document.setdefault(host, []).append(port)
    with suppress(OSError):
        file.parent.mkdir(mode=0o750, parents=True, exist_ok=True)
        atomic.write(file, json.dumps(document).encode())
