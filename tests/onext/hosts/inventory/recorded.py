"""What a recorded front-end answered, as XML that a test may change, and as the snapshot that is read from it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

from onext.cloud import model, parse
from onext.cloud.snapshot import Cloud
from onext.hosts.inventory.snapshot import Snapshot, monitored
from onext.oned.elements import split
from onext.xml import Element
from onext.xml import parse as xml

KINDS: dict[str, tuple[Callable[[bytes], Any], Callable[..., Any]]] = {
    "HOST": (parse.host, model.Host),
    "VM": (parse.vm, model.Vm),
    "CLUSTER": (parse.cluster, model.Cluster),
    "DATASTORE": (parse.datastore, model.Datastore),
}


@dataclass(frozen=True)
class Recorded:
    """Pools as XML elements, or as bytes where no XML could hold them; `beside` is what no pool holds."""

    hosts: tuple[Element | bytes, ...] = ()
    vms: tuple[Element | bytes, ...] = ()
    clusters: tuple[Element, ...] = ()
    datastores: tuple[Element, ...] = ()
    beside: Snapshot = field(default_factory=lambda: Snapshot(Cloud.of()))

    @classmethod
    def of(cls, folder: Path) -> Recorded:
        """Read a folder of recorded answers."""

        def answer(name: str) -> Element:
            return xml((folder / f"{name}.xml").read_bytes())

        beside = Snapshot(
            Cloud.of(),
            tuple(answer("templatepool")),
            answer("vmgrouppool"),
            monitored(answer("hostpool.monitoring")),
        )
        pools = ("hostpool", "vmpool.infoextended", "clusterpool", "datastorepool")
        hosts, vms, clusters, datastores = (tuple(answer(name)) for name in pools)
        return cls(hosts, vms, clusters, datastores, beside)

    def snapshot(self, **beside: Any) -> Snapshot:
        """Read the elements as the worker does."""
        cloud = Cloud.of(
            objects(self.hosts), objects(self.vms), objects(self.clusters), objects(self.datastores)
        )
        return replace(self.beside, cloud=cloud, **beside)

    def host(self, name: str) -> Element:
        """Return the element of a host."""
        return _named(self.hosts, name)

    def vm(self, name: str) -> Element:
        """Return the element of a VM."""
        return _named(self.vms, name)


def objects(elements: Iterable[Element | bytes]) -> list[Any]:
    """Read elements of one pool as the shared reader does."""
    found = []
    for element in elements:
        data = element if isinstance(element, bytes) else ET.tostring(element, short_empty_elements=False)
        tag = data[1 : data.index(b">")].decode()
        read, kind = KINDS[tag]
        (plain,) = split([b"<POOL>", data, b"</POOL>"], tag)
        if (one := parse.safely(read, kind, plain)) is not None:
            found.append(one)
    return found


def _named(elements: Iterable[Element | bytes], name: str) -> Element:
    xmls = (one for one in elements if not isinstance(one, bytes))
    return next(one for one in xmls if one.findtext("NAME") == name)
