"""What the page shows, as plain values: pure functions of what the caller may see."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import sqrt

from gateway.projection import project
from gateway.records import Condition, Host, Site, Tunnel

# From bad to good: the first that a site has gives it its mark.
ORDER = (
    Condition.FENCED,
    Condition.INCIDENT,
    Condition.ERROR,
    Condition.UNKNOWN,
    Condition.OFFLINE,
    Condition.WAKING,
    Condition.GOING,
    Condition.DISABLED,
    Condition.UP,
    Condition.ASLEEP,
)
LARGEST = 26.0  # radius of a mark


@dataclass(frozen=True)
class Mark:
    """A site on the map."""

    site: Site
    x: float
    y: float
    radius: float
    condition: str
    summary: str


@dataclass(frozen=True)
class Line:
    """A migration on the map."""

    x1: float
    y1: float
    x2: float
    y2: float
    summary: str


def marks(sites: Iterable[Site]) -> list[Mark]:
    """Return the marks of sites, the largest first, so that small ones are not covered."""
    found = []
    for site in sorted(sites, key=lambda one: -one.hosts):
        x, y = project(site.place)
        worst = next((one.value for one in ORDER if one.value in site.conditions), Condition.UNKNOWN.value)
        radius = min(LARGEST, 5.0 + 2.0 * sqrt(site.hosts))
        found.append(Mark(site, x, y, radius, worst, summary(site)))
    return found


def summary(site: Site) -> str:
    """Return a site in words."""
    conditions = ", ".join(f"{count} {name}" for name, count in sorted(site.conditions.items()))
    watts = "" if site.watts is None else f", {site.watts:.0f} W"
    return f"{site.id}: {site.hosts} hosts ({conditions}), {site.vms} VMs{watts}"


def lines(tunnels: Iterable[Tunnel], hosts: Iterable[Host]) -> list[Line]:
    """Return the migrations between hosts at different places."""
    places = {host.id: host.place for host in hosts}
    found = []
    for tunnel in tunnels:
        source, target = places.get(tunnel.source_id), places.get(tunnel.destination_id)
        if source is not None and target is not None and source != target:
            text = f"VM {tunnel.id} {tunnel.vm}: {tunnel.source} to {tunnel.destination}"
            found.append(Line(*project(source), *project(target), text))
    return found


def counts(hosts: Iterable[Host]) -> Sequence[tuple[str, int]]:
    """Return how many hosts are in each condition, those that need a person first."""
    counted = Counter(host.condition for host in hosts)
    return [(one.value, counted[one]) for one in ORDER if counted[one]]


def stamp(when: float | None) -> str:
    """Return a Unix time in UTC, empty for none."""
    if not when or not 0 < when < 1e11:
        return ""
    return time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(when))


def css(condition: str) -> str:
    """Return the class of a condition."""
    return condition.replace(" ", "-")


FILTERS: Mapping[str, object] = {"stamp": stamp, "css": css}
