"""What onext itself knows: plans, incidents, energy, targets, as the worker published it.

oned does not filter it. Every reader below gets all of it; gateway.visible decides what a caller may see.
What cannot be read is left out.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TypeVar

import msgspec

from gateway.records import Energy, Incident, PowerPlan, Target
from onext import published

T = TypeVar("T")
Stamp = tuple[int, int, int]
_LARGEST_TARGETS = 64 << 20


class OwnData:
    """The published files, read again when they change."""

    def __init__(self, folder: Path, targets: Path) -> None:
        self.folder, self._targets = folder, targets
        self._read: dict[str, tuple[Stamp, Mapping[str, object]]] = {}

    def power(self) -> Mapping[int, PowerPlan]:
        """Return the plan of each host that power management decides on."""
        return {one.id: one for one in _rows(self._document("power").get("hosts"), PowerPlan)}

    def energy(self) -> Mapping[int, Energy]:
        """Return the energy of each cluster that power management decides on."""
        return {one.id: one for one in _rows(self._document("power").get("clusters"), Energy)}

    def incidents(self) -> Mapping[int, Incident]:
        """Return the incident of each host that has one."""
        return {one.id: one for one in _rows(self._document("availability").get("incidents"), Incident)}

    def watts(self) -> Mapping[int, float]:
        """Return the watts of hosts that were measured in the last round of power."""
        found = self._document("power").get("watts")
        return dict(_watts(found)) if isinstance(found, dict) else {}

    def keys(self) -> Mapping[str, str]:
        """Return the stored public keys of users of the biscuit driver, by name."""
        found = self._document("users").get("keys")
        known = found.items() if isinstance(found, dict) else ()
        return {str(name): key for name, key in known if isinstance(key, str)}

    def servers(self) -> frozenset[str]:
        """Return the names of users whose driver begins with `server`."""
        found = self._document("users").get("servers")
        return frozenset(map(str, found)) if isinstance(found, list) else frozenset()

    def targets(self) -> list[Target]:
        """Return every scrape target, out of the files of file_sd."""
        return [target for file in sorted(self._targets.glob("*.json")) for target in _targets(file)]

    def _document(self, name: str) -> Mapping[str, object]:
        try:
            found = (self.folder / f"{name}.json").stat()
            stamp = found.st_mtime_ns, found.st_size, found.st_ino
        except OSError:
            return {}
        if self._read.get(name, (None,))[0] != stamp:
            self._read[name] = stamp, published.read(self.folder, name) or {}
        return self._read[name][1]


def _rows(found: object, kind: type[T]) -> Iterator[T]:
    for row in found if isinstance(found, list) else ():
        try:
            yield msgspec.convert(row, kind)
        except msgspec.ValidationError:
            continue


def _watts(found: Mapping[str, object]) -> Iterator[tuple[int, float]]:
    for number, value in found.items():
        if number.isascii() and number.isdecimal() and isinstance(value, int | float):
            yield int(number), float(value)


def _targets(file: Path) -> Iterator[Target]:
    try:
        groups = json.loads(file.read_bytes()) if file.stat().st_size <= _LARGEST_TARGETS else []
    except (OSError, ValueError, RecursionError):
        return
    for group in groups if isinstance(groups, list) else ():
        labels = group.get("labels", {}) if isinstance(group, dict) else {}
        addresses = group.get("targets", ()) if isinstance(labels, dict) else ()
        for address in addresses if isinstance(addresses, list) else ():
            yield Target(
                id=f"{file.stem}/{address}",
                job=file.stem,
                address=str(address),
                vm_id=_number(labels.get("one_vm_id")),
                host_id=_number(labels.get("one_host_id")),
            )


def _number(label: object) -> int | None:
    text = str(label)
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 10 else None
