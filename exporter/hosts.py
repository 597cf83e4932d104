"""Metrics of the host pool, and which hosts can be asked for their power."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator

from exporter.collected import Collected, label, whole
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


# id, labels of its info, state, VMs, values of _SHARES
_Row = tuple[int, bytes, int, int, list[int | None]]


def read(elements: Iterable[bytes], clusters: Collection[int] = ()) -> Collected:
    """Return the metrics of every `<HOST>` (of `clusters`, where given); `places` has the hosts that are on.

    An unreadable value produces no sample; a host without a readable id, name or state is left out whole.
    """
    found, rows, on = Collected(), list[_Row](), dict[int, str]()
    lost = 0
    for element in elements:
        try:
            row = _host(element, clusters)
        except (ValueError, KeyError, Malformed):
            lost += 1
            continue
        if row is not None:
            rows.append(row[0])
            on |= row[1]
            found.errors += None in row[0][-1]
    table = found.samples.table
    table("opennebula_host_info", _INFO, ((host, info) for host, info, *_ in rows))
    table("opennebula_host_state", _LINE, ((host, state) for host, _, state, *_ in rows))
    table("opennebula_host_vms", _LINE, ((host, vms) for host, _, _, vms, _ in rows))
    for index, (metric, _, _) in enumerate(_SHARES):
        table(metric, _LINE, _column(rows, index))
    found.samples.add("opennebula_host_total", len(rows) + lost)
    found.errors += lost
    found.places = on
    return found


def _column(rows: Iterable[_Row], index: int) -> Iterator[tuple[int, int]]:
    for host, *_, values in rows:
        value = values[index]
        if value is not None:
            yield host, value


def _host(element: bytes, clusters: Collection[int]) -> tuple[_Row, dict[int, str]] | None:
    """Return a host's row, and its name by id when it is on; None for one of another cluster."""
    head = element.partition(b"<HOST_SHARE>")[0].removesuffix(b"</HOST>")
    fields = dict(children(head[len("<HOST>") :]))
    share, at = section(element, b"HOST_SHARE")
    vms, _ = section(element, b"VMS", at)
    host, state = whole(fields[b"ID"]), whole(fields[b"STATE"])
    if host is None or state is None:
        raise Malformed("no id or no state")
    if clusters and whole(fields.get(b"CLUSTER_ID", b"")) not in clusters:
        return None
    info = b'name="%b",one_cluster_id="%b",cluster="%b"' % (
        label(fields[b"NAME"]),
        label(fields.get(b"CLUSTER_ID", b"-1")),
        label(fields.get(b"CLUSTER", b"")),
    )
    shares = dict(children(share.partition(b"<DATASTORES>")[0]))  # numbers come first, then what is long
    values = [whole(shares.get(key, b""), factor) for _, key, factor in _SHARES]
    on = {host: text(fields[b"NAME"])} if state in _ON else {}
    return (host, info, state, vms.count(b"<ID>"), values), on
