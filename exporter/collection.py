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

from exporter import datastores, hosts, part_metrics, systemd_units, vms
from exporter.collected import Collected
from exporter.exposition import Samples
from exporter.metric_families import DATASTORE, HOST, POWER, SELF, SERVER, VM, Family
from exporter.power import samples as power
from exporter.power.rounds import Host, Rounds
from exporter.timing import Background, timed
from exporter.zone import Zone
from onext import process
from onext.oned import stream
from onext.oned.errors import OnedError
from onext.settings.exporter import Exporter

_log = logging.getLogger("onext.exporter")


@dataclass(frozen=True)
class Scrape:
    """What one collection gave: the text, and what `/` and `/-/ready` say of it."""

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
        self._source = source
        self._settings = settings
        self._folder = parts_folder
        self._version = version
        self._server = server
        self._clock = clock
        self._rounds = Rounds(settings.power)
        self._zone = Zone(source)
        self._up: tuple[bool, float] | None = None  # what it was, and since when
        self._kept: dict[str, _Kept] = {}
        self._errors: Counter[str] = Counter(
            dict.fromkeys(("hosts", "vms", "datastores", "services", "power", "parts"), 0)
        )

    def __call__(self) -> Scrape:
        """Collect everything once; never raises for what others do wrong."""
        begun, wall = self._clock(), time.time()
        scrape = _Draft()
        hosts_on = self._pool(scrape, "hosts", HOST, self._host_pool)
        gathered = Background(lambda: self._rounds.gather(hosts_on))
        vm_hosts = self._pool(scrape, "vms", VM, self._vm_pool)
        self._pool(scrape, "datastores", DATASTORE, self._datastore_pool)
        self._services(scrape)
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
        """Add what the scrape says of itself; return whether oned answered everything."""
        up = not scrape.failures.keys() & {"hosts", "vms", "datastores"}
        add = scrape.samples.add
        add("opennebula_up", int(up))
        add("opennebula_exporter_info", 1, version=self._version, zone=self._zone.name if up else "")
        for collector, count in self._errors.items():
            add("opennebula_scrape_errors_total", count, collector=collector)
        add("opennebula_scrape_duration_seconds", round(self._clock() - begun, 6), collector="all")
        return up

    def _pool(
        self,
        scrape: _Draft,
        name: str,
        families: tuple[Family, ...],
        collect: Callable[[], Collected],
    ) -> Mapping[int, Any]:
        """Collect one pool and return its places; where oned fails, what was last good, unless too old."""
        with timed(scrape.samples, name, self._clock):
            try:
                found = collect()
            except OnedError as error:
                self._failed(scrape, name, str(error))
                self._forget(name)
            else:
                self._errors[name] += found.errors
                self._kept[name] = _Kept(found.samples.render(families), self._clock(), found.places)
        kept = self._kept.get(name, _Kept())
        scrape.texts[name] = kept.text
        if name in self._kept:
            age = self._clock() - kept.at if name in scrape.failures else 0.0
            scrape.samples.add("opennebula_data_age_seconds", round(age, 3), collector=name)
        return kept.places

    def _forget(self, name: str) -> None:
        """Drop the last good data of a pool when it is too old."""
        if name in self._kept and self._clock() - self._kept[name].at > self._settings.keep:
            del self._kept[name]

    def _failed(self, scrape: _Draft, name: str, reason: str) -> None:
        scrape.failures[name] = reason
        self._errors[name] += 1
        _log.warning("%s: %s", name, reason)

    def _host_pool(self) -> Collected:
        return hosts.read(stream.pool(self._source, "hostpool.info", tag="HOST"), self._settings.clusters)

    def _vm_pool(self) -> Collected:
        pool = stream.pool(self._source, "vmpool.infoextended", *stream.ALL_VMS, tag="VM")
        return vms.read(pool, self._settings.clusters)

    def _datastore_pool(self) -> Collected:
        return datastores.read(stream.pool(self._source, "datastorepool.info", tag="DATASTORE"), named=False)

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
            found = part_metrics.read(self._folder)
            scrape.samples.extend(found.samples.lines)
            self._errors["parts"] += found.errors
        return found.text

    def _services(self, scrape: _Draft) -> None:
        with timed(scrape.samples, "services", self._clock):
            try:
                active = systemd_units.states()
            except process.CommandError as error:
                self._failed(scrape, "services", str(error))
            else:
                scrape.samples.extend(systemd_units.samples(active, self._server).lines)
