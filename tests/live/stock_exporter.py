"""OpenNebula's own exporter: the collectors that the front-end has installed, asked once."""

from __future__ import annotations

import json
from pathlib import Path
from typing import NamedTuple

import pytest
from prometheus_client.parser import text_string_to_metric_families

from onext.process import run
from tests.live.front_end import FrontEnd

Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]  # name, labels -> value
_SCRIPT = Path(__file__).with_suffix(".rb")


class Stock(NamedTuple):
    """What the collectors set, and the errors that ended one of them early."""

    samples: Samples
    raised: list[str]


def installed(front_end: FrontEnd) -> Path:
    """Return the folder of OpenNebula's exporter; skip the test where it is not installed."""
    folder = front_end.paths.lib.parent / "opennebula_exporter"
    if not folder.is_dir():
        pytest.skip(f"no {folder}: install the package opennebula-prometheus")
    return folder


def collect(folder: Path, state: Path) -> Stock:
    """Run the collectors once; `state` is the state.json of backups that they read (7.4)."""
    done = run(["ruby", str(_SCRIPT), str(folder), str(state)], timeout=120)
    told = done.stderr.decode(errors="replace")  # systemctl, too, complains there
    assert "Collector]" not in told, told  # 7.4's collectors report errors so, and continue
    answer = json.loads(done.stdout)
    found = {
        (name, frozenset((key, str(text)) for key, text in labels.items())): float(value)
        for name, labels, value in answer["samples"]
    }
    return Stock(found, answer["raised"])


def parse(page: str) -> Samples:
    """Return the samples of a page of metrics."""
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(page)
        for sample in family.samples
    }
