"""Metrics of the datastore pool."""

from __future__ import annotations

from collections.abc import Iterable

from exporter.collected import Collected, whole
from onext.oned.elements import children, text
from onext.oned.errors import Malformed

MIB = 1 << 20
_SIZES = (
    ("opennebula_datastore_total_bytes", b"TOTAL_MB"),
    ("opennebula_datastore_used_bytes", b"USED_MB"),
    ("opennebula_datastore_free_bytes", b"FREE_MB"),
)
# TYPE of a datastore, in the words of OpenNebula's exporter.
_TYPES = {b"0": "IMAGE", b"1": "SYSTEM", b"2": "FILE", b"3": "BACKUP"}
NAMED_SINCE = (7, 4)  # the release whose exporter has type and name in the labels


def read(elements: Iterable[bytes], *, named: bool = True) -> Collected:
    """Return the metrics of every `<DATASTORE>`; with `named` its type and name are labels too.

    An unreadable value produces no sample; a datastore without a readable id is left out whole.
    """
    found = Collected()
    total = 0
    for element in elements:
        total += 1
        try:
            found.errors += not _datastore(element, found, named=named)
        except (ValueError, KeyError, Malformed):
            found.errors += 1
    found.samples.add("opennebula_datastore_total", total)
    return found


def _datastore(element: bytes, found: Collected, *, named: bool) -> bool:
    """Add the samples of one; return whether all its values could be read."""
    fields = dict(children(element[len("<DATASTORE>") : -len("</DATASTORE>")]))
    datastore = whole(fields[b"ID"])
    if datastore is None:
        raise Malformed(f"no id: {element[:80]!r}")
    labels: dict[str, str | int] = {"one_datastore_id": datastore}
    if named:
        kind = fields.get(b"TYPE", b"")
        labels["one_datastore_type"] = _TYPES.get(kind, text(kind))
        labels["one_datastore_name"] = text(fields.get(b"NAME", b""))
    readable = True
    for metric, key in _SIZES:
        size = whole(fields.get(key, b""), MIB)
        if size is None:
            readable = False
        else:
            found.samples.add(metric, size, **labels)
    images = fields.get(b"IMAGES", b"").count(b"<ID>")
    found.samples.add("opennebula_datastore_images", images, **labels)
    return readable
