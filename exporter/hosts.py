"""Metrics of the host pool, and which hosts can be asked for their power."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field

from exporter.exposition import Samples, escape
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
_INFO, _LINE = b'{one_host_id="%d",%b} 1', b'{one_host_id="%d"} %d'
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


_Row = tuple[int, bytes, int, int, list[int]]  # id, labels of its info, state, VMs, values of _SHARES


def read(elements: Iterable[bytes], clusters: Collection[int] = ()) -> Hosts:
    """Return the metrics of every `<HOST>` (of `clusters`, where given)."""
    found, rows = Hosts(), list[_Row]()
    for element in elements:
        try:
            _host(element, clusters, rows, found)
        except (ValueError, KeyError, Malformed):
            found.errors += 1
    table = found.samples.table
    table("opennebula_host_info", _INFO, ((host, info) for host, info, *_ in rows))
    table("opennebula_host_state", _LINE, ((host, state) for host, _, state, *_ in rows))
    table("opennebula_host_vms", _LINE, ((host, vms) for host, _, _, vms, _ in rows))
    for number, (metric, _, _) in enumerate(_SHARES):
        table(metric, _LINE, ((row[0], row[-1][number]) for row in rows))
    found.samples.add("opennebula_host_total", len(rows) + found.errors)
    return found


def _host(element: bytes, clusters: Collection[int], rows: list[_Row], found: Hosts) -> None:
    fields = dict(children(element[len("<HOST>") : element.find(b"<HOST_SHARE>")]))
    share, at = section(element, b"HOST_SHARE")
    vms, _ = section(element, b"VMS", at)
    host, state = int(fields[b"ID"]), int(fields[b"STATE"])
    if clusters and int(fields[b"CLUSTER_ID"]) not in clusters:
        return
    name, cluster = text(fields[b"NAME"]), text(fields.get(b"CLUSTER", b""))
    number = text(fields.get(b"CLUSTER_ID", b"-1"))
    info = f'name="{escape(name)}",one_cluster_id="{escape(number)}",cluster="{escape(cluster)}"'
    shares = dict(children(share.partition(b"<DATASTORES>")[0]))  # numbers come first, then what is long
    values = [int(shares[key]) * factor for _, key, factor in _SHARES]
    rows.append((host, info.encode("utf-8", "replace"), state, vms.count(b"<ID>"), values))
    if state in _ON:
        found.on[host] = name
