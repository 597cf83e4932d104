"""A cluster's own past from OpenNebula's accounting, as arrivals for the simulation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from hooks.power.simulate.weeks import Arrival
from onext.hosts.inventory.vms import size
from onext.hosts.placement.problem import ZERO
from onext.xml import Element


def accounting(records: Element, cluster: int, begin: float, seconds: float) -> list[Arrival]:
    """Turn HISTORY_RECORDS into arrivals; a VM that moved between hosts of the cluster comes once."""
    spans: dict[str, tuple[float, float, Element]] = {}
    for record in records.iterfind("HISTORY"):
        if record.findtext("CID") != str(cluster):
            continue
        start = max(float(record.findtext("STIME", "0")), begin)
        end = float(record.findtext("ETIME", "0")) or begin + seconds
        vm = record.findtext("OID", "")
        first, last, _ = spans.get(vm, (start, end, record))
        spans[vm] = (min(first, start), max(last, end), record)
    return [
        Arrival(start - begin, size(record.find("VM/TEMPLATE")) or ZERO, end - start)
        for start, end, record in spans.values()
        if end > start and start < begin + seconds
    ]


def known(arrivals: Sequence[Arrival], seconds: float) -> tuple[list[Arrival], float]:
    """Begin with the first arrival: before that there may have been no cluster. Return the seconds left."""
    first = min((arrival.at for arrival in arrivals), default=0.0)
    return [replace(arrival, at=arrival.at - first) for arrival in arrivals], seconds - first
