"""The figures of a cluster for Prometheus."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping

from hooks.power.buffer import wanted
from hooks.power.decide import Decision
from hooks.power.needed_hosts import Room
from hooks.power.policy import Policy
from hooks.power.round_state import Tally
from onext.hosts.energy import JOULES_PER_GB
from onext.hosts.energy import NAMES as NAMES_OF_SOURCES
from onext.hosts.model import Bmc, Cluster, Host, Kind, Phase
from onext.metrics import Family

STATES = ("on", "off", "waking", "stopping", "quarantined", "left")
NAMES = {
    Phase.OFF: "off",
    Phase.WAKING: "waking",
    Phase.RETURNING: "waking",
    Phase.QUARANTINED: "quarantined",
    Phase.LEFT: "left",
}
Sample = tuple[dict[str, str], float]


def families(seen: Iterable[Row], tallies: Mapping[int, Tally]) -> list[Family]:
    """Return the figures of all clusters, each with the time at which it was read."""
    rows = list(seen)
    gauges = [
        Family(f"onext_power_{name}", "gauge", text, [(_label(row), float(value(row))) for row in rows])
        for name, text, value in GAUGES
    ]
    counters = [_counter(name, text, rows, value) for name, text, value in COUNTERS]
    hosts = Family("onext_power_hosts", "gauge", "Hosts by what this part does with them", list(_hosts(rows)))
    own = [
        Family(
            f"onext_power_{name}_total",
            "counter",
            f"{text}, on this server",
            [(_label(row), float(value(tallies.get(row[0].id, Tally())))) for row in rows],
        )
        for name, text, value in TALLIES
    ]
    sources = Family(
        "onext_power_watts_source", "gauge", "Hosts by where their idle watts come from", list(_sources(rows))
    )
    return [hosts, sources, *gauges, *counters, *own]


Row = tuple[Cluster, Policy, Decision, float]


def _label(row: Row) -> dict[str, str]:
    return {"cluster": str(row[0].id), "name": row[0].name}


def _counter(name: str, text: str, rows: list[Row], value: Callable[[Host, float], float]) -> Family:
    """Sum the hosts' records, which outlive every front-end, and current actions."""
    samples = [(_label(row), float(sum(value(host, row[3]) for host in row[0].hosts))) for row in rows]
    return Family(f"onext_power_{name}_total", "counter", text, samples)


def _hosts(rows: list[Row]) -> Iterable[Sample]:
    for row in rows:
        counts = Counter(NAMES.get(h.phase, "stopping") if h.phase else "on" for h in row[0].hosts)
        for state in STATES:
            yield {**_label(row), "state": state}, float(counts[state])


def _sources(rows: list[Row]) -> Iterable[Sample]:
    for row in rows:
        counts = Counter(host.curve.source for host in row[0].hosts)
        for source in NAMES_OF_SOURCES:
            yield {**_label(row), "source": source}, float(counts[source])


def _watts_saved(row: Row) -> float:
    """Sum up what the hosts that are off would draw idle, less what they do."""
    return sum(host.curve.saves for host in row[0].hosts if host.phase is Phase.OFF)


def _wanted(row: Row) -> int:
    return sum(count for count, _, _ in wanted(row[0], row[1]))


def _free(row: Row) -> int:
    """Count the flavours that would fit on the hosts that take VMs now."""
    room = Room((h for h in row[0].hosts if h.takes_vms and not h.pinned), row[0].by_host())
    sizes = [size for _, size, _ in wanted(row[0], row[1])]
    return sum(sizes[0].times_in(free) for free in room.free.values()) if sizes else 0


def _longest(row: Row) -> float:
    return max((row[3] - g.since for g in row[0].vms if g.kind is Kind.PENDING), default=0.0)


GAUGES: tuple[tuple[str, str, Callable[[Row], float]], ...] = (
    ("buffer_wanted", "VMs of the largest flavour that must have room", _wanted),
    ("buffer_missing", "VMs of the largest flavour that have none", lambda row: row[2].missing_buffer),
    ("buffer_free", "VMs of the largest flavour that have room", _free),
    ("longest_wait_seconds", "How long a VM has waited for a host", _longest),
    ("waiting_too_long", "VMs that have waited longer than vm_wait_timeout", lambda row: len(row[2].stuck)),
    ("saved_watts", "What the hosts that are off do not draw now", _watts_saved),
    ("held", "1 while nothing may shrink", lambda row: bool(row[2].held)),
    ("silent_bmcs", "BMCs that do not answer", lambda row: sum(h.bmc is Bmc.SILENT for h in row[0].hosts)),
)
TALLIES: tuple[tuple[str, str, Callable[[Tally], float]], ...] = (
    ("migrations", "Migrations begun", lambda tally: tally.migrations),
    ("migration_joules", "Energy of these, by the model", lambda tally: JOULES_PER_GB * tally.moved_gb),
    ("short_seconds", "Seconds in which the buffer was short of room", lambda tally: tally.short_seconds),
)
COUNTERS: tuple[tuple[str, str, Callable[[Host, float], float]], ...] = (
    (
        "saved_joules",
        "Energy saved, boots subtracted, by each host's idle watts: see onext_power_watts_source",
        lambda host, now: host.joules(now),
    ),
    ("off_seconds", "Seconds that hosts were off", lambda host, now: host.off_seconds(now)),
    ("wakes", "Hosts that woke", lambda host, _: host.record.wakes),
    ("failed_wakes", "Wakes that failed", lambda host, _: host.record.failed_wakes),
)
