"""What a page of Scaphandre or Kepler says; anything that is no figure is left out, never read as 0.

Names: Scaphandre's exporter `prometheus` (microwatts, microjoules), Kepler 0.10 and later (watts, joules;
zone="package" is the CPUs, other zones are parts of it or something else).
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Literal

Source = Literal["scaphandre", "kepler"]
MICRO = 1e-6
_OF_HOST = ("scaph_host_", "kepler_node_")
_OF_GUEST = ("scaph_process_power", "kepler_vm_cpu")
_SAMPLE = re.compile(r"([a-zA-Z_:][\w:]*)(?:\{(.*)\})?\s+(\S+)(?:\s+-?\d+)?", re.ASCII)
_LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"', re.ASCII)
# The guest of a process: the label of `--qemu`, else `-name guest=one-42,` with its spaces dropped.
_VMNAME = re.compile(r"one-(\d{1,10})", re.ASCII)
_GUEST = re.compile(r"-nameguest=one-(\d{1,10}),", re.ASCII)


class NotPower(ValueError):
    """The answer is not a page of that exporter."""


@dataclass
class Reading:
    """Watts of a host and its guests, and joules since its exporter started; None where unknown."""

    source: Source
    watts: float | None = None
    joules: float | None = None
    guests: dict[int, float] = field(default_factory=dict)


def read(source: Source, body: bytes) -> Reading:
    """Return what the page `body` says; raise NotPower when it says nothing of the host."""
    reading = Reading(source)
    take = _READERS[source]
    for name, labels, value in _samples(body.decode("utf-8", "replace")):
        take(reading, name, labels, value)
    if reading.watts is None and reading.joules is None:
        raise NotPower(f"no figure of the host in {len(body)} bytes")
    return reading


def _samples(page: str) -> Iterator[tuple[str, dict[str, str], float]]:
    for line in page.splitlines():
        if not line.startswith(_OF_HOST) and not (line.startswith(_OF_GUEST) and "one-" in line):
            continue  # hundreds of other processes
        found = _SAMPLE.fullmatch(line.strip())
        if found is None:
            continue
        try:
            value = float(found[3])
        except ValueError:
            continue
        if math.isfinite(value) and value >= 0:
            yield found[1], dict(_LABEL.findall(found[2] or "")), value


def _scaphandre(reading: Reading, name: str, labels: dict[str, str], value: float) -> None:
    match name:
        case "scaph_host_power_microwatts":
            reading.watts = value * MICRO
        case "scaph_host_energy_microjoules":
            reading.joules = value * MICRO
        case "scaph_process_power_consumption_microwatts":
            guest = _VMNAME.fullmatch(labels.get("vmname", "")) or _GUEST.search(labels.get("cmdline", ""))
            if guest and "qemu" in labels.get("exe", ""):
                _add(reading, int(guest[1]), value * MICRO)


def _kepler(reading: Reading, name: str, labels: dict[str, str], value: float) -> None:
    if labels.get("zone") != "package":
        return
    match name:
        case "kepler_node_cpu_watts":
            reading.watts = (reading.watts or 0.0) + value  # one sample for each socket
        case "kepler_node_cpu_joules_total":
            reading.joules = (reading.joules or 0.0) + value
        case "kepler_vm_cpu_watts":
            if guest := _VMNAME.fullmatch(labels.get("vm_name", "")):
                _add(reading, int(guest[1]), value)


def _add(reading: Reading, guest: int, watts: float) -> None:
    reading.guests[guest] = reading.guests.get(guest, 0.0) + watts


_READERS: dict[Source, Callable[[Reading, str, dict[str, str], float], None]] = {
    "scaphandre": _scaphandre,
    "kepler": _kepler,
}
