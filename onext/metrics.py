"""Figures of the parts: written by the worker, one file each, added by the exporter with their age.

The format is Prometheus's text exposition, version 0.0.4.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from onext import atomic


@dataclass(frozen=True)
class Family:
    """A metric: its name, type (`gauge` or `counter`), help, and samples as (labels, value)."""

    name: str
    type: str
    help: str
    samples: Sequence[tuple[Mapping[str, str], float]]


def write(folder: Path, part: str, families: Iterable[Family]) -> None:
    """Replace the figures of a part, `folder/PART.prom`, readable to all: no secrets in them."""
    folder.mkdir(parents=True, exist_ok=True)
    atomic.write(folder / f"{part}.prom", render(families).encode(), 0o644)


def render(families: Iterable[Family]) -> str:
    """Return families as text."""
    return "".join(line for family in families for line in _lines(family))


def _lines(family: Family) -> Iterable[str]:
    yield f"# HELP {family.name} {family.help.translate(_HELP)}\n"
    yield f"# TYPE {family.name} {family.type}\n"
    for labels, value in family.samples:
        inner = ",".join(f'{name}="{text.translate(_LABEL)}"' for name, text in labels.items())
        yield f"{family.name}{{{inner}}} {value!r}\n" if inner else f"{family.name} {value!r}\n"


_HELP = str.maketrans({"\\": "\\\\", "\n": "\\n"})
_LABEL = str.maketrans({"\\": "\\\\", "\n": "\\n", '"': '\\"'})
