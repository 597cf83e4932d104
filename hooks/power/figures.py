"""The figures of a cluster for Prometheus."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping

from hooks.power.buffer import wanted
from hooks.power.decide import Decision
from hooks.power.demand import Room
from hooks.power.minds import Tally
from hooks.power.model import Bmc, Cluster, Kind, Phase
from hooks.power.policy import Policy
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
    """Return the figures of all clusters, each with the time at which it was looked at."""
    rows = list(seen)
    gauges = [
        Family(f"onext_power_{name}", "gauge", text, [(_label(row), float(value(row))) for row in rows])
        for name, text, value in GAUGES
    ]
    counters = [_counter(name, text, rows, source) for name, text, source in COUNTERS]
    hosts = Family("onext_power_hosts", "gauge", "Hosts by what this part does with them", list(_hosts(rows)))
    own = [
        Family(
            f"onext_power_{name}_total",
            "counter",
            f"{text}, on this server",
            [(_label(row), float(getattr(tallies.get(row[0].id, Tally()), name))) for row in rows],
        )
        for name, text in TALLIES
    ]
    return [hosts, *gauges, *counters, *own]


Row = tuple[Cluster, Policy, Decision, float]


def _label(row: Row) -> dict[str, str]:
    return {"cluster": str(row[0].id), "name": row[0].name}


def _counter(name: str, text: str, rows: list[Row], field: str) -> Family:
    """Sum what stands in the hosts' records: it outlives every front-end."""
    samples = [(_label(row), float(sum(getattr(h.record, field) for h in row[0].hosts))) for row in rows]
    return Family(f"onext_power_{name}_total", "counter", text, samples)


def _hosts(rows: list[Row]) -> Iterable[Sample]:
    for row in rows:
        counts = Counter(NAMES.get(h.phase, "stopping") if h.phase else "on" for h in row[0].hosts)
        for state in STATES:
            yield {**_label(row), "state": state}, float(counts[state])


def _wanted(row: Row) -> int:
    return sum(count for count, _, _ in wanted(row[0], row[1]))


def _free(row: Row) -> int:
    """Count the flavours that would fit on the hosts that take guests now."""
    room = Room((h for h in row[0].hosts if h.takes_guests), row[0].by_host())
    sizes = [size for _, size, _ in wanted(row[0], row[1])]
    return sum(sizes[0].times_in(free) for free in room.free.values()) if sizes else 0


def _longest(row: Row) -> float:
    return max((row[3] - g.since for g in row[0].guests if g.kind is Kind.PENDING), default=0.0)


GAUGES: tuple[tuple[str, str, Callable[[Row], float]], ...] = (
    ("buffer_wanted", "VMs of the largest flavour that must have room", _wanted),
    ("buffer_missing", "VMs of the largest flavour that have none", lambda row: row[2].missing_buffer),
    ("buffer_free", "VMs of the largest flavour that have room", _free),
    ("longest_wait_seconds", "How long a VM has waited for a host", _longest),
    ("waiting_too_long", "VMs that have waited longer than vm_wait_timeout", lambda row: len(row[2].stuck)),
    ("held", "1 while nothing may shrink", lambda row: bool(row[2].held)),
    ("silent_bmcs", "BMCs that do not answer", lambda row: sum(h.bmc is Bmc.SILENT for h in row[0].hosts)),
)
TALLIES = (
    ("migrations", "Migrations begun"),
    ("short_seconds", "Seconds in which the buffer was short of room"),
)
COUNTERS = (
    ("saved_joules", "Energy saved, by the model, boots subtracted", "joules"),
    ("off_seconds", "Seconds that hosts were off", "off_seconds"),
    ("wakes", "Hosts that woke", "wakes"),
    ("failed_wakes", "Wakes that failed", "failed_wakes"),
)
