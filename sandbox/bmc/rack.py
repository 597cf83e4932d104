"""All BMCs, and what their switching does to hosts: one thread that polls each several times a second."""

import threading
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from sandbox.bmc.entry import Entry
from sandbox.bmc.ipmi import Ipmi
from sandbox.processes import Children

if TYPE_CHECKING:
    from sandbox.bmc.redfish import Redfish

_LOOK_SECONDS = 0.25
Switched = Callable[[str, bool], None]


class Rack:
    """The BMCs by the names of their hosts; `switched` hears of every change of power."""

    def __init__(self, folder: Path, children: Children, switched: Switched) -> None:
        self._folder, self._children, self._switched = folder, children, switched
        self._lock = threading.Lock()
        self._asked: dict[str, Callable[[], bool]] = {}
        self._was: dict[str, bool] = {}
        self._redfish: Redfish | None = None
        self._thread: threading.Thread | None = None
        self._ended = threading.Event()

    def add(self, kind: str, hosts: list[str]) -> dict[str, Entry]:
        """Give hosts a BMC of a kind (`ipmi` or `redfish`), all of them on."""
        with self._lock:
            names = {host: str(uuid.uuid5(uuid.NAMESPACE_DNS, host)) for host in hosts}
            entries = self._ipmi(names) if kind == "ipmi" else self._by_redfish(names)
            self._was |= dict.fromkeys(hosts, True)
            if self._thread is None:
                self._thread = threading.Thread(target=self._watch, name="rack", daemon=True)
                self._thread.start()
            return entries

    def stop(self) -> None:
        """Look no more; the programs end with all others."""
        self._ended.set()

    def _ipmi(self, names: dict[str, str]) -> dict[str, Entry]:
        made = {host: Ipmi(self._folder / host, own, self._children) for host, own in names.items()}
        self._asked |= {host: one.on for host, one in made.items()}
        return {host: one.entry for host, one in made.items()}

    def _by_redfish(self, names: dict[str, str]) -> dict[str, Entry]:
        from sandbox.bmc.redfish import Redfish

        self._redfish = emulator = self._redfish or Redfish(self._folder / "redfish", self._children)
        entries = emulator.add(names)
        for host in names:
            self._asked[host] = lambda host=host: emulator.on(host)  # type: ignore[misc]
        return entries

    def _watch(self) -> None:
        while not self._ended.wait(_LOOK_SECONDS):
            with self._lock:
                asked = dict(self._asked)
            for host, on in asked.items():
                self._look(host, on)

    def _look(self, host: str, on: Callable[[], bool]) -> None:
        try:
            now = on()
        except (OSError, KeyError, ValueError):
            time.sleep(_LOOK_SECONDS)  # it restarts, or ends
            return
        if now != self._was.get(host):
            self._was[host] = now
            self._switched(host, now)
