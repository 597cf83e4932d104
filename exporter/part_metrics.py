"""Figures that the parts of onext wrote (`/run/onext/metrics/PART.prom`), as they are, with their age."""

from __future__ import annotations

import re
import time
from dataclasses import dataclass, field
from pathlib import Path

from exporter.exposition import Samples

_LARGEST = 8 << 20
_HEAD = re.compile(rb"^# (?:HELP|TYPE) ([A-Za-z_:][\w:]*)", re.MULTILINE)
_BAD = re.compile(rb"^(?![A-Za-z_:][\w:]*(?:\{.*\})? [^ ]+(?: -?\d+)?$|#|$)", re.MULTILINE)


@dataclass
class Parts:
    """What the folder gave: text, ages, and how many files could not be used."""

    text: bytes = b""
    samples: Samples = field(default_factory=Samples)
    errors: int = 0


def read(folder: Path) -> Parts:
    """Return the figures of every part; a file that is no exposition, or repeats a metric, is left out."""
    found = Parts()
    names: set[bytes] = set()
    texts = []
    for file in sorted(folder.glob("*.prom")):
        try:
            text, written = _file(file)
        except (OSError, ValueError):
            found.errors += 1
            continue
        mine = set(_HEAD.findall(text))
        if mine & names:
            found.errors += 1
            continue
        names |= mine
        texts.append(text)
        age = max(0.0, time.time() - written)
        found.samples.add("opennebula_part_metrics_age_seconds", round(age, 3), part=file.stem)
    found.text = b"".join(texts)
    return found


def _file(file: Path) -> tuple[bytes, float]:
    with file.open("rb") as stream:
        text = stream.read(_LARGEST + 1)
    if len(text) > _LARGEST or _BAD.search(text):
        raise ValueError(f"{file}: no figures in Prometheus's text format, or more than {_LARGEST} bytes")
    if text and not text.endswith(b"\n"):
        raise ValueError(f"{file}: cut")
    return text, file.stat().st_mtime
