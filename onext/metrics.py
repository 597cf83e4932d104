"""Metrics of the parts: written by the worker, one file each, served by the exporter with their age.

The format is Prometheus's text exposition, version 0.0.4.
"""

from __future__ import annotations

import contextlib
import logging
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from prometheus_client import CollectorRegistry, Metric
from prometheus_client.exposition import generate_latest
from prometheus_client.registry import Collector

from onext import atomic

_log = logging.getLogger("onext.metrics")
_failed: set[Path] = set()  # files whose failure was logged


@dataclass(frozen=True)
class Family:
    """A metric: its name, type (`gauge` or `counter`), help, and samples as (labels, value)."""

    name: str
    type: str
    help: str
    samples: Sequence[tuple[Mapping[str, str], float]]


def write(folder: Path, part: str, families: Iterable[Family]) -> None:
    """Replace the metrics of a part, `folder/PART.prom`, readable to all: no secrets in them.

    A file system that is full or read-only is logged once and raises nothing: the exporter shows the age of
    what it has, and the part has more important things to do.
    """
    file = folder / f"{part}.prom"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if not atomic.write(file, render(families).encode(), 0o644):
            os.utime(file)  # the same figures, and they are of now
    except OSError as error:
        if file not in _failed:
            _log.warning("%s: the metrics of %s cannot be written: %s", file, part, error.strerror or error)
        _failed.add(file)
    else:
        _failed.discard(file)


def remove(folder: Path, part: str) -> None:
    """Remove the metrics of a part that has nothing to show: old ones would look like a part that hangs."""
    with contextlib.suppress(OSError):
        (folder / f"{part}.prom").unlink(missing_ok=True)


def render(families: Iterable[Family]) -> str:
    """Return families as text."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Families(families))
    return generate_latest(registry).decode()


class _Families(Collector):
    def __init__(self, families: Iterable[Family]) -> None:
        self._families = list(families)

    def collect(self) -> Iterator[Metric]:
        """Yield each family as prometheus_client has it: a counter without its suffix."""
        for family in self._families:
            name = family.name.removesuffix("_total") if family.type == "counter" else family.name
            metric = Metric(name, family.help, family.type)
            for labels, value in family.samples:
                metric.add_sample(family.name, dict(labels), value)
            yield metric
