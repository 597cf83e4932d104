"""Which pools of oned a scrape reads, and what each gives."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from exporter import datastores, hosts, networks, oneflow, quotas, vms
from exporter.backup_jobs import BackupJobs
from exporter.collected import Collected
from exporter.documents import whole_document
from exporter.metric_families import BACKUP, DATASTORE, HOST, NETWORK, QUOTA, SERVICE, VM, ZONE, Family
from exporter.releases import Release
from exporter.zones import Zones
from onext.oned import stream
from onext.settings.exporter import Exporter

_ALL = (-2, -1, -1)  # of every user, the whole range


@dataclass(frozen=True)
class Pool:
    """One collector: its name in labels, what it gives, and the call, which raises an OnedError."""

    name: str
    families: Sequence[Family]
    collect: Callable[[], Collected]


class Pools:
    """The pools of one front-end; `required` decide whether OpenNebula counts as up."""

    def __init__(self, source: stream.Source, settings: Exporter, release: Release, fqdn: str) -> None:
        self._whole = source
        self._ends = float("inf")
        self._settings = settings
        self._release = release
        self.zones = Zones(source, fqdn)
        self.hosts = Pool("hosts", HOST, self._hosts)
        self.vms = Pool("vms", VM, self._vms)
        self.datastores = Pool("datastores", DATASTORE, self._datastores)
        self.required = (self.hosts, self.vms, self.datastores)
        chosen = {
            "networks": Pool("networks", NETWORK, self._networks),
            "quotas": Pool("quotas", QUOTA, self._quotas),
            "services": Pool("services", SERVICE, self._services),
            "backups": Pool("backups", BACKUP, BackupJobs(source).collect),
        }
        self.optional = [
            Pool("zones", ZONE, self.zones.collect),
            *(pool for name, pool in chosen.items() if name in settings.collect),
        ]

    def begin(self) -> None:
        """Begin a scrape: all its answers together have the settings' deadline."""
        self._ends = time.monotonic() + self._settings.deadline

    @property
    def _source(self) -> stream.Source:
        """The front-end, with the time that is left."""
        left = max(0.1, self._ends - time.monotonic())
        return replace(self._whole, deadline=min(self._whole.deadline, left))

    def _hosts(self) -> Collected:
        return hosts.read(stream.pool(self._source, "hostpool.info", tag="HOST"), self._settings.clusters)

    def _vms(self) -> Collected:
        pool = stream.escaped_pool(self._source, "vmpool.infoextended", *stream.ALL_VMS, tag="VM")
        return vms.read(pool, self._settings.clusters)

    def _datastores(self) -> Collected:
        named = self._release() >= datastores.NAMED_SINCE
        pool = stream.pool(self._source, "datastorepool.info", tag="DATASTORE")
        return datastores.read(pool, named=named)

    def _networks(self) -> Collected:
        return networks.read(stream.pool(self._source, "vnpool.info", *_ALL, tag="VNET"))

    def _quotas(self) -> Collected:
        found = Collected()
        for kind in ("user", "group"):
            document = whole_document(stream.document(self._source, f"{kind}pool.info"))
            some = quotas.read(document, kind)
            found.samples.extend(some.samples.lines)
            found.errors += some.errors
        return found

    def _services(self) -> Collected:
        pool = stream.pool(self._source, "documentpool.info", *_ALL, oneflow.DOCUMENT_TYPE, tag="DOCUMENT")
        return oneflow.read(pool)
