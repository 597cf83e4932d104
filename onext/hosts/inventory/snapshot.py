"""What oned and the BMCs report at one moment, gathered whole before anything is decided."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from onext import bounds
from onext.cloud.snapshot import Cloud
from onext.hosts.bmc.config import BmcConfig
from onext.hosts.bmc.protocol import Power, Reading
from onext.hosts.bmc.query import query_all
from onext.hosts.claims import HostRecord
from onext.hosts.model import Bmc
from onext.hosts.watt_model import Metered
from onext.oned.client import Oned
from onext.oned.documents import Stored
from onext.xml import Element
from onext.zone import servers

PIN = "ONEXT_POWER_PIN"
ALL = (-2, -1, -1)  # every object of a pool, whoever owns it


@dataclass(frozen=True)
class Snapshot:
    """The pools that all parts share, and what they do not hold.

    `monitored` are times by host id, `bmcs` what each BMC reports, `readings` the same with the reasons of
    those that are silent. `loads` are shares of each host's CPU that are in use, `metered` what hosts were
    measured to draw, `front_ends` where the zone's servers run, `records` the documents of hosts by host id.
    `sleepers` are hosts without a BMC, which are suspended. `pins_count`: a tenant cannot write
    ONEXT_POWER_PIN. `taken` is when the pools were read, by onext.cloud.snapshot.clock.
    """

    cloud: Cloud
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
    records: Mapping[int, Stored[HostRecord]] = field(default_factory=dict)


def gather(
    oned: Oned,
    cloud: Cloud,
    records: Mapping[int, Stored[HostRecord]],
    book: BmcConfig,
    deadline: float,
) -> Snapshot:
    """Ask all BMCs, and oned for what the shared pools do not hold; raise an OnedError.

    BMCs get `deadline` seconds together.
    """
    readings = query_all(book, deadline)
    states = {Power.ON: Bmc.ON, Power.OFF: Bmc.OFF, Power.UNKNOWN: Bmc.SILENT}
    monitoring = oned.document("hostpool.monitoring", 0)
    configuration = cloud.document("system.config")
    restricted = configuration.iterfind(".//VM_RESTRICTED_ATTR")
    return Snapshot(
        read_now(cloud),
        tuple(cloud.document("templatepool.info", *ALL)),
        cloud.document("vmgrouppool.info", *ALL),
        monitored(monitoring),
        {host: states[reading.power] for host, reading in readings.items()},
        frozenset(host for host in book.entries if not book.bmc(host).proves_off),
        any((item.text or "").upper() == PIN for item in restricted),
        loads(monitoring),
        front_ends=frozenset(server.host for server in servers(oned, configuration)),
        readings=readings,
        records=records,
    )


def read_now(cloud: Cloud) -> Cloud:
    """Return a cloud whose pools are there: what cannot be read fails here, not in the middle of a round."""
    for pool in (cloud.hosts, cloud.vms, cloud.clusters, cloud.datastores):
        assert pool is not None
    return cloud


def monitored(data: Element) -> dict[int, float]:
    """Return the time of each host's last monitoring record."""
    found = {}
    for record in data.iterfind("MONITORING"):
        number = bounds.whole(record.findtext("ID"), 0, 2**31)
        when = bounds.number(record.findtext("TIMESTAMP"), 0, 1e11)
        if number is not None and when is not None:
            found[number] = when
    return found


def loads(data: Element) -> dict[int, float]:
    """Return the share of each host's CPU that its last monitoring record found in use."""
    found = {}
    for record in data.iterfind("MONITORING"):
        number = bounds.whole(record.findtext("ID"), 0, 2**31)
        used = bounds.number(record.findtext("CAPACITY/USED_CPU"), 0, 1e9)
        free = bounds.number(record.findtext("CAPACITY/FREE_CPU"), 0, 1e9)
        if number is not None and used is not None and free is not None and used + free > 0:
            found[number] = used / (used + free)
    return found
