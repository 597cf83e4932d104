"""Failures of BMCs in the log: each once, when it begins, when its reason changes, and when it is over."""

from __future__ import annotations

from collections.abc import Mapping
from logging import Logger

from onext.hosts.bmc.protocol import Reading

_FIRST = 20  # lines of one round; the rest is a number


class FailureLog:
    """Remembers what was reported of each host."""

    def __init__(self, log: Logger) -> None:
        self._log = log
        self._known: dict[int, str] = {}

    def report(self, readings: Mapping[int, Reading]) -> None:
        """Log what is new in the readings of a round. Kinds of failure count as the same one: words vary."""
        now = {host: type(reading.failure).__name__ for host, reading in readings.items() if reading.failure}
        new = [host for host, kind in now.items() if self._known.get(host) != kind]
        for host in new[:_FIRST]:
            self._log.warning("host %d: its BMC cannot be used: %s", host, readings[host].reason)
        if len(new) > _FIRST:
            self._log.warning("%d more BMCs cannot be used: onext power bmc check", len(new) - _FIRST)
        over = [host for host in self._known if host in readings and host not in now]
        for host in over[:_FIRST]:
            self._log.info("host %d: its BMC can be used again", host)
        self._known = now
