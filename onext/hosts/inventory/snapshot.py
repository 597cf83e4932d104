"""What oned and the BMCs say at one moment, gathered whole before anything is decided."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from onext.hosts.bmc.config import BmcConfig
from onext.hosts.bmc.protocol import Power, Reading
from onext.hosts.bmc.query import query_all
from onext.hosts.claims import HOST_RECORDS, HostRecord
from onext.hosts.model import Bmc
from onext.hosts.watt_model import Metered
from onext.oned import stream
from onext.oned.client import Oned
from onext.oned.documents import Documents, Stored
from onext.xml import Element, parse
from onext.zone import servers

PIN = "ONEXT_POWER_PIN"


@dataclass(frozen=True)
class Snapshot:
    """Elements as oned sends them; `monitored` are times by host id, `bmcs` what each BMC says.

    `taken` is when the gathering began, by a clock that only grows.
    `loads` are shares of each host's CPU that are in use, `metered` what hosts were measured to draw,
    `front_ends` where the zone's servers run.

    `readings` are what the BMCs answered, with the reasons of those that are silent.

    `sleepers` are hosts without a BMC, which are suspended. `pins_count` says that a tenant cannot write
    ONEXT_POWER_PIN.
    """

    hosts: tuple[Element, ...]
    vms: tuple[Element, ...]
    clusters: tuple[Element, ...]
    datastores: tuple[Element, ...] = ()
    templates: tuple[Element, ...] = ()
    groups: Element = field(default_factory=lambda: Element("VM_GROUP_POOL"))
    monitored: Mapping[int, float] = field(default_factory=dict)
    bmcs: Mapping[int, Bmc] = field(default_factory=dict)
    sleepers: frozenset[int] = frozenset()
    pins_count: bool = False
    loads: Mapping[int, float] = field(default_factory=dict)
    metered: Mapping[int, Metered] = field(default_factory=dict)
    front_ends: frozenset[str] = frozenset()
    taken: float | None = None
    readings: Mapping[int, Reading] = field(default_factory=dict)
    records: Mapping[int, Stored[HostRecord]] = field(default_factory=dict)  # the documents by host id


def gather(oned: Oned, book: BmcConfig, deadline: float) -> Snapshot:
    """Ask oned and all BMCs; raise an OnedError. BMCs get `deadline` seconds together."""
    readings = query_all(book, deadline)
    states = {Power.ON: Bmc.ON, Power.OFF: Bmc.OFF, Power.UNKNOWN: Bmc.SILENT}
    monitoring = oned.document("hostpool.monitoring", 0)
    configuration = oned.document("system.config")
    restricted = configuration.iterfind(".//VM_RESTRICTED_ATTR")
    return Snapshot(
        tuple(map(parse, stream.pool(oned.source, "hostpool.info", tag="HOST"))),
        tuple(map(parse, stream.pool(oned.source, "vmpool.infoextended", *stream.ALL_VMS, tag="VM"))),
        tuple(oned.document("clusterpool.info")),
        tuple(oned.document("datastorepool.info")),
        tuple(oned.document("templatepool.info", -2, -1, -1)),
        oned.document("vmgrouppool.info", -2, -1, -1),
        monitored(monitoring),
        {host: states[reading.power] for host, reading in readings.items()},
        frozenset(host for host in book.entries if not book.bmc(host).proves_off),
        any((item.text or "").upper() == PIN for item in restricted),
        loads(monitoring),
        records=Documents(oned, HOST_RECORDS).all(),
        front_ends=frozenset(server.host for server in servers(oned, configuration)),
        readings=readings,
    )


def monitored(data: Element) -> dict[int, float]:
    """Return the time of each host's last monitoring record."""
    return {
        int(record.findtext("ID", "-1")): float(record.findtext("TIMESTAMP", "0"))
        for record in data.iterfind("MONITORING")
    }


def loads(data: Element) -> dict[int, float]:
    """Return the share of each host's CPU that its last monitoring record found in use."""
    found = {}
    for record in data.iterfind("MONITORING"):
        used = float(record.findtext("CAPACITY/USED_CPU", "0"))
        whole = used + float(record.findtext("CAPACITY/FREE_CPU", "0"))
        if whole > 0:
            found[int(record.findtext("ID", "-1"))] = used / whole
    return found
