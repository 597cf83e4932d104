"""What oned and the BMCs report at one moment, gathered whole before anything is decided."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from xml.etree.ElementTree import SubElement

from onext import bounds
from onext.hosts.bmc.config import BmcConfig
from onext.hosts.bmc.protocol import Power, Reading
from onext.hosts.bmc.query import query_all
from onext.hosts.claims import HOST_RECORDS, HostRecord
from onext.hosts.model import Bmc
from onext.hosts.watt_model import Metered
from onext.oned import stream
from onext.oned.client import Oned
from onext.oned.documents import Documents, Stored
from onext.xml import Element, MalformedXML, parse
from onext.zone import servers

PIN = "ONEXT_POWER_PIN"
PROBLEM = "ONEXT_PROBLEM"  # a child of an element that could not be parsed: why


@dataclass(frozen=True)
class Snapshot:
    """Elements as oned sends them; `monitored` are times by host id, `bmcs` what each BMC reports.

    `taken` is when the gathering began, by a clock that only grows.
    `loads` are shares of each host's CPU that are in use, `metered` what hosts were measured to draw,
    `front_ends` where the zone's servers run.

    `readings` are what the BMCs answered, with the reasons of those that are silent.

    `sleepers` are hosts without a BMC, which are suspended. `pins_count`: a tenant cannot write
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
        tuple(map(tolerant, stream.pool(oned.source, "hostpool.info", tag="HOST"))),
        tuple(map(tolerant, stream.pool(oned.source, "vmpool.infoextended", *stream.ALL_VMS, tag="VM"))),
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


def tolerant(data: bytes) -> Element:
    """Parse an object of a pool; of an invalid one keep what tells where it is, and the problem."""
    try:
        return parse(data)
    except MalformedXML as error:
        element = Element("INVALID")
        for tag in ("ID", "NAME", "CLUSTER_ID", "STATE"):
            if found := re.search(rb"<%b>(?:<!\[CDATA\[)?([^<\]]{1,128})" % tag.encode(), data):
                SubElement(element, tag).text = found[1].decode("utf-8", "replace")
        if hosts := re.findall(rb"<HID>(\d{1,9})</HID>", data):
            history = SubElement(SubElement(element, "HISTORY_RECORDS"), "HISTORY")
            SubElement(history, "HID").text = hosts[-1].decode()
        SubElement(element, PROBLEM).text = bounds.words(str(error), 120)
        return element


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
