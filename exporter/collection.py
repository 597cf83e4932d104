"""One scrape: every collector once, each failure a metric, old data only while oned does not answer."""

from __future__ import annotations

import gzip
import logging
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from exporter import systemd_units
from exporter.exposition import Samples
from exporter.metric_families import POWER, SELF, SERVER
from exporter.part_metrics import PartMetrics
from exporter.pools import Pool, Pools
from exporter.power import samples as power
from exporter.power.rounds import Host, Rounds
from exporter.releases import Release
from exporter.timing import Background, timed
from onext import process
from onext.oned import stream
from onext.oned.errors import OnedError, Refused, Unauthorised, Unreachable
from onext.settings.exporter import Exporter

_log = logging.getLogger("onext.exporter")


@dataclass(frozen=True)
class Scrape:
    """What one collection gave: the text, and what the landing page shows of it."""

    text: bytes
    up: bool
    at: float  # time.time() when it was begun
    took: float
    failures: Mapping[str, str]
    vms: int
    since: float  # time.time() when `up` became what it is
    power: tuple[int, int]  # hosts that gave figures of power, and hosts that were asked
    compressed: bytes  # the text, gzipped once for all who share the page


@dataclass
class _Kept:
    """The last good text of a collector, and when it was collected."""

    text: bytes = b""
    at: float = float("-inf")
    places: Mapping[int, Any] = field(default_factory=dict)


@dataclass
class _Draft:
    """What is being put together."""

    samples: Samples = field(default_factory=Samples)
    texts: dict[str, bytes] = field(default_factory=dict)
    failures: dict[str, str] = field(default_factory=dict)
    unreachable: str = ""  # why oned is not asked any more


class Collection:
    """All collectors and what they remember; called by one thread at a time (see exporter.single_flight)."""

    def __init__(
        self,
        source: stream.Source,
        settings: Exporter,
        parts_folder: Path,
        *,
        version: str,
        server: str,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._settings = settings
        self._part_metrics = PartMetrics(parts_folder)
        self._version = version
        self._server = server
        self._clock = clock
        self._rounds = Rounds(settings.power)
        self._release = Release(source, clock)
        self._pools = Pools(source, settings, self._release, server)
        self._up: tuple[bool, float] | None = None  # what it was, and since when
        self._kept: dict[str, _Kept] = {}
        self._refused: set[str] = set()  # optional pools that this user or release cannot have
        names = [pool.name for pool in (*self._pools.required, *self._pools.optional)]
        self._errors = Counter[str](dict.fromkeys([*names, "systemd", "power", "parts"], 0))

    def __call__(self) -> Scrape:
        """Collect everything once; never raises for what others do wrong."""
        begun, wall = self._clock(), time.time()
        scrape = _Draft()
        self._pools.begin()
        hosts_on = self._pool(scrape, self._pools.hosts)
        gathered = Background(lambda: self._rounds.gather(hosts_on))
        vm_hosts = self._pool(scrape, self._pools.vms)
        self._pool(scrape, self._pools.datastores)
        if scrape.failures:
            self._release.forget()
        for pool in self._pools.optional:
            if scrape.failures.keys() & {"hosts", "vms", "datastores"}:
                self._last_good(scrape, pool.name, fresh=False)  # oned has other worries
            else:
                self._pool(scrape, pool, optional=True)
        self._units(scrape)
        asked = self._power(scrape, gathered, vm_hosts)
        extra = self._parts(scrape)
        up = self._finish(scrape, begun)
        if self._up is None or self._up[0] != up:
            self._up = up, wall
        text = b"".join(scrape.texts.values()) + scrape.samples.render((*SERVER, *POWER, *SELF)) + extra
        return Scrape(
            text=text,
            up=up,
            at=wall,
            took=self._clock() - begun,
            failures=scrape.failures,
            vms=len(vm_hosts),
            since=self._up[1],
            power=(sum(host.reading is not None for host in asked), len(asked)),
            compressed=gzip.compress(text, 1),
        )

    def _finish(self, scrape: _Draft, begun: float) -> bool:
        """Add the metrics of the scrape itself; return whether oned answered everything."""
        up = not scrape.failures.keys() & {pool.name for pool in self._pools.required}
        add = scrape.samples.add
        add("opennebula_up", int(up))
        add("opennebula_exporter_info", 1, version=self._version, zone=self._pools.zones.name if up else "")
        for collector, count in self._errors.items():
            add("opennebula_scrape_errors_total", count, collector=collector)
        add("opennebula_scrape_duration_seconds", round(self._clock() - begun, 6), collector="all")
        return up

    def _pool(self, scrape: _Draft, pool: Pool, *, optional: bool = False) -> Mapping[int, Any]:
        """Collect one pool and return its places; where oned fails, what was last good, unless too old."""
        name = pool.name
        fresh = False
        with timed(scrape.samples, name, self._clock):
            try:
                if scrape.unreachable:  # one timeout for a scrape is enough
                    raise Unreachable(scrape.unreachable)
                found = pool.collect()
            except (Unauthorised, Refused) as error:
                self._not_for_us(scrape, name, error, optional=optional)
            except OnedError as error:
                scrape.unreachable = str(error) if isinstance(error, Unreachable) else ""
                self._failed(scrape, name, str(error))
            else:
                fresh = True
                self._errors[name] += found.errors
                self._kept[name] = _Kept(found.samples.render(pool.families), self._clock(), found.places)
        return self._last_good(scrape, name, fresh=fresh).places

    def _last_good(self, scrape: _Draft, name: str, *, fresh: bool) -> _Kept:
        """Add what is known of a pool, unless it is too old, and its age."""
        self._forget(name)
        kept = self._kept.get(name, _Kept())
        scrape.texts[name] = kept.text
        if name in self._kept:
            age = 0.0 if fresh else self._clock() - kept.at
            scrape.samples.add("opennebula_data_age_seconds", round(age, 3), collector=name)
        return kept

    def _not_for_us(self, scrape: _Draft, name: str, error: OnedError, *, optional: bool) -> None:
        """Report a refusal: once for a pool that this release does not have or this user may not read."""
        if not optional:
            self._failed(scrape, name, str(error))
        elif name not in self._refused:
            self._refused.add(name)
            _log.warning("%s are left out (see exporter.collect): %s", name, error)

    def _forget(self, name: str) -> None:
        """Drop the last good data of a pool when it is too old."""
        if name in self._kept and self._clock() - self._kept[name].at > self._settings.keep:
            del self._kept[name]

    def _failed(self, scrape: _Draft, name: str, reason: str) -> None:
        scrape.failures[name] = reason
        self._errors[name] += 1
        _log.warning("%s: %s", name, reason)

    def _power(
        self, scrape: _Draft, gathered: Background[Mapping[int, Host]], vm_hosts: Mapping[int, int]
    ) -> list[Host]:
        with timed(scrape.samples, "power", self._clock):
            found = gathered.result()
            scrape.samples.extend(power.samples(found, vm_hosts).lines)
            self._errors["power"] = self._rounds.errors
        return list(found.values())

    def _parts(self, scrape: _Draft) -> bytes:
        with timed(scrape.samples, "parts", self._clock):
            found = self._part_metrics.read()
            scrape.samples.extend(found.samples.lines)
            self._errors["parts"] += found.errors
        return found.text

    def _units(self, scrape: _Draft) -> None:
        with timed(scrape.samples, "systemd", self._clock):
            try:
                active = systemd_units.states()
            except process.CommandError as error:
                self._failed(scrape, "systemd", str(error))
            else:
                scrape.samples.extend(systemd_units.samples(active, self._server).lines)
