"""Prometheus's text format, version 0.0.4: lines as bytes, because 150,000 objects cost a second."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from itertools import chain

from exporter.metric_families import Family

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class Samples:
    """Lines of samples, by the name of their metric."""

    def __init__(self) -> None:
        self.lines: defaultdict[str, list[bytes]] = defaultdict(list)

    def add(self, name: str, value: float, /, **labels: str | int) -> None:
        """Add one sample; label values may hold anything, of which 256 characters are kept."""
        shown = ",".join(f'{key}="{escape(str(text)[:256])}"' for key, text in labels.items())
        line = f"{name}{{{shown}}} {value}\n" if shown else f"{name} {value}\n"
        self.lines[name].append(line.encode("utf-8", "replace"))

    def table(self, name: str, line: bytes, rows: Iterable[tuple[object, ...]]) -> None:
        """Add a sample for each row, all at once: `line` is what follows the name, a `%` for each cell."""
        cells = tuple(chain.from_iterable(rows))
        count = len(cells) // line.count(b"%")
        if not count:
            return  # a metric without samples is left out
        self.lines[name].append((name.encode() + line + b"\n") * count % cells)

    def extend(self, other: Mapping[str, list[bytes]]) -> None:
        """Add the lines of others."""
        for name, lines in other.items():
            self.lines[name] += lines

    def render(self, families: Iterable[Family]) -> bytes:
        """Return the text of `families`; one without samples is left out."""
        return b"".join(
            family.head + b"".join(self.lines[family.name])
            for family in families
            if self.lines.get(family.name)
        )


def escape(label: str) -> str:
    """Return a label's value with backslash, quote and line feed escaped."""
    return label.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
