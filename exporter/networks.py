"""Metrics of the virtual network pool: how much of each address range is free."""

from __future__ import annotations

import math
from collections.abc import Iterable

from exporter.collected import Collected, label, plain, whole
from onext.oned.elements import children
from onext.oned.errors import Malformed

_LINE = b'{vnet_id="%d",vnet_name="%b",ar_id="%d"} %a'


def read(elements: Iterable[bytes]) -> Collected:
    """Return the metrics of every `<VNET>`; a range with an unreadable size produces no sample."""
    found, rows = Collected(), list[tuple[int, bytes, int, float]]()
    for element in elements:
        try:
            found.errors += not _network(element, rows)
        except (ValueError, KeyError, Malformed):
            found.errors += 1
    found.samples.table("opennebula_vnet_free_lease_ratio", _LINE, rows)
    return found


def _network(element: bytes, rows: list[tuple[int, bytes, int, float]]) -> bool:
    fields = dict(children(element[len("<VNET>") : -len("</VNET>")]))
    network = whole(fields[b"ID"])
    if network is None:
        raise Malformed("no id")
    readable = True
    for tag, content in children(fields.get(b"AR_POOL", b"")):
        if tag != b"AR":
            continue
        values = dict(children(content))
        number, size = whole(plain(values.get(b"AR_ID", b""))), whole(plain(values.get(b"SIZE", b"")))
        if number is None or size is None:
            readable = False
        elif size:
            rows.append((network, label(fields.get(b"NAME", b"")), number, _free(size, _used(values))))
    return readable


def _used(values: dict[bytes, bytes]) -> int:
    """Return USED_LEASES, else half of the words of ALLOCATED: pairs of an index and who has it."""
    used = whole(plain(values.get(b"USED_LEASES", b"")))
    return len(plain(values.get(b"ALLOCATED", b"")).split()) // 2 if used is None else used


def _free(size: int, used: int) -> float:
    """Return the free part with two digits, halves rounded up as OpenNebula's exporter does."""
    return math.floor(max(0.0, (size - used) / size) * 100 + 0.5) / 100
