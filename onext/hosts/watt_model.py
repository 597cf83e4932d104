"""What hosts were measured to draw: wall power from BMCs before the CPUs' from Scaphandre or Kepler.

Idle watts are what was read less what the model gives for the load, so that a host need not be idle to be
measured. Figures are smoothed; a lesser source takes over where the better one has been silent for a week.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from onext import atomic
from onext.hosts.bmc.watts import HIGHEST
from onext.hosts.energy import Curve

FILE = "power-watts.json"
WALL = "bmc"
RANKS = (WALL, "scaphandre", "kepler")
WEIGHT = 0.3  # of a new figure against what was known
LEAST_SHARE = 0.1  # of a reading that must be left for idling when the model's share of the load is taken off
MOST_OFF_SHARE = 0.5  # of its idle watts that a machine may draw while it is off
FORGOTTEN = 7 * 86_400.0


@dataclass(frozen=True, slots=True)
class Metered:
    """A host's watts with nothing to do, and when off where that was measured; `at` is the last reading."""

    source: str
    idle: float
    off: float | None = None
    at: float = 0.0


@dataclass(frozen=True, slots=True)
class Reading:
    """What one host drew at one time, beside its model and the share of its CPU in use."""

    host: int
    source: str
    watts: float
    model: Curve
    load: float
    off: bool


def learn(known: Mapping[int, Metered], readings: Iterable[Reading], now: float) -> dict[int, Metered]:
    """Return what is known of each host after these readings."""
    after = dict(known)
    for reading in readings:
        before = after.get(reading.host)
        if before and _rank(before.source) < _rank(reading.source) and now - before.at < FORGOTTEN:
            continue
        if before and before.source != reading.source:
            before = None
        found = _asleep(before, reading, now) if reading.off else _awake(before, reading, now)
        if found:
            after[reading.host] = found
    return after


def _rank(source: str) -> int:
    return RANKS.index(source) if source in RANKS else len(RANKS)


def _awake(before: Metered | None, reading: Reading, now: float) -> Metered | None:
    busy = reading.model.at(reading.load) - reading.model.idle
    idle, off = reading.watts - busy, before.off if before else None
    if idle < LEAST_SHARE * reading.watts:  # the model does not fit this load: nothing is learned of it
        return before
    if before:
        idle = before.idle + WEIGHT * (idle - before.idle)
    if reading.source != WALL:
        off = 0.0  # CPUs that are off draw nothing; what the rest draws, they do not count when on either
    return Metered(reading.source, idle, off, now)


def _asleep(before: Metered | None, reading: Reading, now: float) -> Metered | None:
    """Take watts of a machine that is off where they are far below idle: some BMCs repeat the last figure."""
    if before is None or reading.watts > MOST_OFF_SHARE * before.idle:
        return before
    return Metered(before.source, before.idle, reading.watts, now)


def load(folder: Path) -> dict[int, Metered]:
    """Read what earlier rounds have learned; what cannot be read is learned afresh."""
    try:
        document = json.loads((folder / FILE).read_bytes())
        found = {int(host): Metered(**value) for host, value in document.items()}
        return {host: one for host, one in found.items() if _plausible(one)}
    except (OSError, ValueError, TypeError, AttributeError):
        return {}


def _plausible(known: Metered) -> bool:
    """Whether it may have been measured: earlier versions learned an idle of 0 W, and of 65,535 W."""
    off = 0.0 if known.off is None else known.off
    return 0 < known.idle <= HIGHEST and 0 <= off <= known.idle


def save(folder: Path, known: Mapping[int, Metered]) -> None:
    """Write it for the next round and for the commands."""
    document = {str(host): asdict(metered) for host, metered in sorted(known.items())}
    atomic.write(folder / FILE, json.dumps(document).encode())
