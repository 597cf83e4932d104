"""Metrics of the datastore pool."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from exporter.exposition import Samples
from onext.oned.elements import children
from onext.oned.errors import Malformed

MIB = 1 << 20
_SIZES = (
    ("opennebula_datastore_total_bytes", b"TOTAL_MB"),
    ("opennebula_datastore_used_bytes", b"USED_MB"),
    ("opennebula_datastore_free_bytes", b"FREE_MB"),
)


@dataclass
class Datastores:
    """What a pool gave: samples, and how many datastores could not be read."""

    samples: Samples = field(default_factory=Samples)
    errors: int = 0


def read(elements: Iterable[bytes]) -> Datastores:
    """Return the metrics of every `<DATASTORE>`."""
    found = Datastores()
    total = 0
    for element in elements:
        total += 1
        try:
            _datastore(element, found.samples)
        except (ValueError, KeyError, Malformed):
            found.errors += 1
    found.samples.add("opennebula_datastore_total", total)
    return found


def _datastore(element: bytes, samples: Samples) -> None:
    fields = dict(children(element[len("<DATASTORE>") : -len("</DATASTORE>")]))
    datastore = int(fields[b"ID"])
    for metric, size in [(metric, int(fields[key]) * MIB) for metric, key in _SIZES]:
        samples.add(metric, size, one_datastore_id=datastore)
    images = fields.get(b"IMAGES", b"").count(b"<ID>")
    samples.add("opennebula_datastore_images", images, one_datastore_id=datastore)
