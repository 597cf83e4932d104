"""Metrics of the host pool, and which hosts can be asked for their power."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field

from exporter.exposition import Samples
from onext.oned.elements import children, section, text
from onext.oned.errors import Malformed
from onext.oned.objects import HostState

KIB = 1024
_ON = {
    HostState.MONITORED,
    HostState.DISABLED,
    HostState.MONITORING_MONITORED,
    HostState.MONITORING_DISABLED,
}
# Metric, element of HOST_SHARE, factor to the metric's unit.
_SHARES = (
    ("opennebula_host_mem_total_bytes", b"TOTAL_MEM", KIB),
    ("opennebula_host_mem_maximum_bytes", b"MAX_MEM", KIB),
    ("opennebula_host_mem_usage_bytes", b"MEM_USAGE", KIB),
    ("opennebula_host_cpu_total_ratio", b"TOTAL_CPU", 1),
    ("opennebula_host_cpu_maximum_ratio", b"MAX_CPU", 1),
    ("opennebula_host_cpu_usage_ratio", b"CPU_USAGE", 1),
)


@dataclass
class Hosts:
    """What a pool gave: samples, the names of hosts that are on by id, and how many could not be read."""

    samples: Samples = field(default_factory=Samples)
    on: dict[int, str] = field(default_factory=dict)
    errors: int = 0


def read(elements: Iterable[bytes], clusters: Collection[int] = ()) -> Hosts:
    """Return the metrics of every `<HOST>` (of `clusters`, where given)."""
    found = Hosts()
    total = 0
    for element in elements:
        try:
            total += _host(element, clusters, found)
        except (ValueError, KeyError, Malformed):
            total += 1
            found.errors += 1
    found.samples.add("opennebula_host_total", total)
    return found


def _host(element: bytes, clusters: Collection[int], found: Hosts) -> bool:
    fields = dict(children(element[len("<HOST>") : element.find(b"<HOST_SHARE>")]))
    share, at = section(element, b"HOST_SHARE")
    vms, _ = section(element, b"VMS", at)
    host, state = int(fields[b"ID"]), int(fields[b"STATE"])
    if clusters and int(fields[b"CLUSTER_ID"]) not in clusters:
        return False
    shares = dict(children(share))
    values = [(metric, int(shares[key]) * factor) for metric, key, factor in _SHARES]
    add = found.samples.add
    name = text(fields[b"NAME"])
    cluster = fields.get(b"CLUSTER_ID", b"-1").decode()
    add(
        "opennebula_host_info",
        1,
        one_host_id=host,
        name=name,
        one_cluster_id=cluster,
        cluster=text(fields.get(b"CLUSTER", b"")),
    )
    add("opennebula_host_state", state, one_host_id=host)
    for metric, value in values:
        add(metric, value, one_host_id=host)
    add("opennebula_host_vms", vms.count(b"<ID>"), one_host_id=host)
    if state in _ON:
        found.on[host] = name
    return True
