"""The thread of the worker that grants leases; it runs also where availability is stopped or disabled.

Hosts that get no grants reset. Therefore nothing but the end of this process, or disarming, ends the grants.
"""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field

from hooks.availability.lease import keys
from hooks.availability.lease.granter import Granter, Zone
from hooks.availability.lease.grants import GRANTS, ZONE
from hooks.availability.lease.ledger import Ledger, Status
from hooks.availability.probe import Ports
from onext import log
from onext.oned.client import Oned
from onext.oned.documents import Documents
from onext.oned.errors import OnedError
from onext.part import Context

CALL_TIMEOUT = 5.0  # seconds for one call to oned: a grant that comes late ends VMs
_RECENT = 25.0  # seconds
_log = log.get("availability")


@dataclass
class Service:
    """One thread of one worker."""

    granter: Granter = field(default_factory=lambda: Granter(Ledger(60.0)))
    _context: Context | None = None
    _thread: threading.Thread | None = None
    _zone: Zone | None = None
    _ports: Ports = field(default_factory=Ports)
    _reported: str = ""

    def ensure(self, context: Context) -> None:
        """Start the thread where a host was ever armed; take the settings as they are now."""
        self._context = context
        if self._thread is None or not self._thread.is_alive():
            if not keys.path(context.paths).exists():
                return
            self._thread = threading.Thread(target=self._run, name="leases", daemon=True)
            self._thread.start()

    def status(self, context: Context, host: int, silent: float) -> Status | None:
        """Return what the lease of a host shows; by the record where this process does not grant."""
        if self._thread is not None:
            record = Documents(context.oned, GRANTS, context.now)
            return self.granter.status(host, silent=silent, record=record)
        return recorded(context, host) if keys.path(context.paths).exists() else None

    def _run(self) -> None:
        while True:
            began = time.monotonic()
            text = self._round()
            if text and text != self._reported:
                _log.error("leases are not granted: %s", text)
            self._reported = text
            time.sleep(max(0.1, self.granter.pause - (time.monotonic() - began)))

    def _round(self) -> str:
        """Run one round and return why nothing was granted, empty where it was."""
        assert self._context is not None
        try:
            return self._granted(self._context)
        except (OnedError, keys.NoSecret) as error:
            return str(error)
        except Exception as error:  # noqa: BLE001 - the outermost edge of the thread: the next round comes
            return f"{type(error).__name__}: {error}"

    def _granted(self, context: Context) -> str:
        secret = keys.load(context.paths)
        if self._zone is None:
            oned = Oned.connect(context.paths, context.settings.oned.endpoint, CALL_TIMEOUT)
            self._zone = Zone(oned, -1, 0)
        raft = self._zone.oned.raft()
        self._zone.server, self._zone.term = raft.server_id, raft.term
        if not raft.acts:
            self.granter.ledger.lost()
            return ""
        self.granter.ledger.lease = float(context.settings.availability.lease_seconds)
        config = context.settings.geolocation.ssh_config
        self.granter.resolve = lambda name, port: (self._ports.where(name, config)[0], port)
        self.granter.round(self._zone, secret)
        return self.granter.problem


def recorded(context: Context, host: int) -> Status | None:
    """Return what the record of grants shows of a host, for a process that grants nothing itself."""
    stored = Documents(context.oned, GRANTS, context.now).get(ZONE)
    found = stored.value.hosts.get(host) if stored is not None and stored.value is not None else None
    if found is None:
        return None
    age = context.now() - found.at
    held = "armed" if found.held else "not armed"
    return Status(
        answers=0 <= age <= _RECENT,
        expired=False,
        detail=f"{held}, answered {age:.0f} s ago",
        boot=found.boot,
    )
