"""Snapshots that receivers ask for: one an hour of each sink, whatever a receiver answers."""

from __future__ import annotations

from hooks.events.database import Database

APART = 3600.0  # seconds between two snapshots on request


class SnapshotRequests(Database):
    """What receivers ask for, and when they got it, for each sink."""

    def ask(self, name: str, *, wanted: bool) -> None:
        """Note whether a receiver asks for a snapshot; its last answer counts."""
        if wanted != self.asked(name):
            with self._transaction():
                self._keep_number(f"asked:{name}", int(wanted))

    def asked(self, name: str) -> bool:
        """Return whether a receiver asks for a snapshot that it did not get yet."""
        with self._reported():
            return bool(self._number(f"asked:{name}"))

    def wait(self, name: str, now: float) -> float:
        """Return the seconds until a sink may get a snapshot on request, 0 for now."""
        with self._reported():
            since = now - self._number(f"granted:{name}")
        return APART - since if 0 <= since < APART else 0.0  # a clock that was set back forbids nothing

    def grant(self, name: str, now: float) -> None:
        """Note that a snapshot on request is queued."""
        with self._transaction():
            self._keep_number(f"asked:{name}", 0)
            self._keep_number(f"granted:{name}", int(now))

    def _forget_requests(self, name: str) -> None:
        keys = (f"asked:{name}", f"granted:{name}")
        self._db.execute("DELETE FROM meta WHERE key IN (?, ?)", keys)
