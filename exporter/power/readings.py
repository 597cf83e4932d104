"""What a page of Scaphandre or Kepler holds; implausible figures are left out, never read as 0.

Names: Scaphandre's exporter `prometheus` (microwatts, microjoules), Kepler 0.10 and later (watts, joules;
zone="package" is the CPUs, other zones are parts of it or something else).

A page comes from a hypervisor, which may be broken or hostile: each line is read once, from left to right.
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
_OF_VM = ("scaph_process_power", "kepler_vm_cpu")
_LONGEST = 65_536  # characters of a line: the command line of a VM's process is a label
_LABELS = 64  # of one sample
_JOULES = 1e15  # a megawatt for thirty years
_VM_EXCESS = 1.1  # of the host's watts: both are measured over slightly different times
# Each is matched at one place and has one way to match: no input makes them try again.
_NAME = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")
_LABEL = re.compile(r'\s*([a-zA-Z_][a-zA-Z0-9_]*)="([^"\\]*(?:\\.[^"\\]*)*)"\s*,?')
# The VM of a process: the label of `--qemu`, else `-name guest=one-42,` with its spaces dropped.
_VMNAME = re.compile(r"one-(\d{1,10})", re.ASCII)
_QEMU_NAME = re.compile(r"-nameguest=one-(\d{1,10}),", re.ASCII)


class NotPower(ValueError):
    """The answer is not a page of that exporter."""


class Implausible(NotPower):
    """The page has the host's watts, and no running host takes so many, or none."""


@dataclass
class Reading:
    """Watts of a host and its VMs, and joules since its exporter started; None where unknown.

    `dropped` is the number of figures of VMs that were not plausible.
    """

    source: Source
    watts: float | None = None
    joules: float | None = None
    vms: dict[int, float] = field(default_factory=dict)
    dropped: int = 0


def read(source: Source, body: bytes, most: float = math.inf) -> Reading:
    """Return what the page `body` holds of a running host, which takes at most `most` watts.

    Raises Implausible when the host's watts are 0 or above that, NotPower without a figure of the host.
    """
    reading = Reading(source)
    take = _READERS[source]
    for name, labels, value in _samples(body.decode("utf-8", "replace")):
        take(reading, name, labels, value)
    if reading.watts is None and reading.joules is None:
        raise NotPower(f"no figure of the host in {len(body)} bytes")
    if reading.watts is not None and not 0 < reading.watts <= most:
        raise Implausible(f"{reading.watts:g} W for a running host, where at most {most:g} W are plausible")
    if reading.joules is not None and not 0 <= reading.joules <= _JOULES:
        reading.joules = None
    highest = most if reading.watts is None else min(most, reading.watts * _VM_EXCESS + 1)
    plausible = {vm: watts for vm, watts in reading.vms.items() if 0 <= watts <= highest}
    reading.dropped, reading.vms = len(reading.vms) - len(plausible), plausible
    return reading


def _samples(page: str) -> Iterator[tuple[str, dict[str, str], float]]:
    for line in page.split("\n"):
        if not line.startswith(_OF_HOST) and not (line.startswith(_OF_VM) and "one-" in line):
            continue  # hundreds of other processes
        if len(line) <= _LONGEST and (found := _sample(line)):
            yield found


def _sample(line: str) -> tuple[str, dict[str, str], float] | None:
    name = _NAME.match(line)
    if name is None:
        return None
    labels: dict[str, str] = {}
    at = name.end()
    if line.startswith("{", at):
        at += 1
        while (label := _LABEL.match(line, at)) and len(labels) < _LABELS:
            labels[label[1]] = label[2]
            at = label.end()
        if not line.startswith("}", at):
            return None
        at += 1
    words = line[at:].split(None, 2)
    value = _number(words[0]) if words and line[at : at + 1].isspace() else None
    return None if value is None else (name[0], labels, value)


def _number(text: str) -> float | None:
    try:
        value = float(text) if len(text) <= 48 else math.nan
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def _scaphandre(reading: Reading, name: str, labels: dict[str, str], value: float) -> None:
    match name:
        case "scaph_host_power_microwatts":
            reading.watts = value * MICRO
        case "scaph_host_energy_microjoules":
            reading.joules = value * MICRO
        case "scaph_process_power_consumption_microwatts":
            vm = _VMNAME.fullmatch(labels.get("vmname", "")) or _QEMU_NAME.search(labels.get("cmdline", ""))
            if vm and "qemu" in labels.get("exe", ""):
                _add(reading, int(vm[1]), value * MICRO)


def _kepler(reading: Reading, name: str, labels: dict[str, str], value: float) -> None:
    if labels.get("zone") != "package":
        return
    match name:
        case "kepler_node_cpu_watts":
            reading.watts = (reading.watts or 0.0) + value  # one sample for each socket
        case "kepler_node_cpu_joules_total":
            reading.joules = (reading.joules or 0.0) + value
        case "kepler_vm_cpu_watts":
            if vm := _VMNAME.fullmatch(labels.get("vm_name", "")):
                _add(reading, int(vm[1]), value)


def _add(reading: Reading, vm: int, watts: float) -> None:
    reading.vms[vm] = reading.vms.get(vm, 0.0) + watts


_READERS: dict[Source, Callable[[Reading, str, dict[str, str], float], None]] = {
    "scaphandre": _scaphandre,
    "kepler": _kepler,
}
