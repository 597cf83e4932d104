"""Metrics that the parts of onext wrote (`/run/onext/metrics/PART.prom`), as they are, with their age."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from prometheus_client.parser import text_string_to_metric_families

from exporter.exposition import Samples
from exporter.metric_families import FAMILIES

_LARGEST = 2_000_000  # bytes of a file
_LINE = 8192  # characters
_MOST = 64  # files


class _File(NamedTuple):
    """A file that can be served: its text, and the names of its metrics."""

    stamp: tuple[int, int, int]
    text: bytes
    names: frozenset[str]


@dataclass
class Parts:
    """What the folder gave: text, ages, and how many files could not be used."""

    text: bytes = b""
    samples: Samples = field(default_factory=Samples)
    errors: int = 0


class PartMetrics:
    """The files of a folder; each is checked once for each time that it is written."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._known: dict[Path, _File] = {}

    def read(self) -> Parts:
        """Return the metrics of every part.

        A file that is not in the text format, or has a metric of the exporter or of another part, is left
        out: Prometheus would refuse the whole page.
        """
        found, texts, known = Parts(), [], dict[Path, _File]()
        names = set(FAMILIES)
        for file in sorted(self._folder.glob("*.prom"))[:_MOST]:
            try:
                known[file] = read = self._file(file)
            except (OSError, ValueError):
                found.errors += 1
                continue
            if read.names & names:
                found.errors += 1
                continue
            names |= read.names
            texts.append(read.text)
            age = max(0.0, time.time() - read.stamp[0] / 1e9)
            found.samples.add("opennebula_part_metrics_age_seconds", round(age, 3), part=file.stem)
        self._known = known
        found.text = b"".join(texts)
        return found

    def _file(self, file: Path) -> _File:
        with file.open("rb") as stream:
            status = file.stat()
            stamp = status.st_mtime_ns, status.st_size, status.st_ino
            known = self._known.get(file)
            if known and known.stamp == stamp:
                return known
            text = stream.read(_LARGEST + 1)
        if len(text) > _LARGEST or (text and not text.endswith(b"\n")):
            raise ValueError(f"{file}: cut, or more than {_LARGEST} bytes")
        return _File(stamp, text, _checked(text.decode()))


def _checked(text: str) -> frozenset[str]:
    """Return the names of a file's metrics; raise ValueError when Prometheus would refuse it."""
    if any(len(line) > _LINE for line in text.split("\n")):
        raise ValueError(f"a line of more than {_LINE} characters")
    names, series = set[str](), set[tuple[str, frozenset[tuple[str, str]]]]()
    for family in text_string_to_metric_families(text):
        names.add(family.name)
        for sample in family.samples:
            one = sample.name, frozenset(sample.labels.items())
            if one in series or not sample.name:
                raise ValueError(f"{sample.name!r} appears twice, or has no name")
            series.add(one)
            names.add(sample.name)
    return frozenset(names)
