"""Metrics of the parts: one file that Prometheus could not read must not cost the page."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from exporter import part_metrics
from exporter.part_metrics import PartMetrics

GOOD = '# HELP y z\n# TYPE y gauge\ny{a="b c"} 1.5\n'


@pytest.mark.parametrize(
    "content",
    [
        "onext_x",
        "onext_x 1",
        "{} 1\n",
        "<html>\n",
        "a b c d\n",
        "onext_x\n",
        'onext_x{a="b} 1\n',
        "onext_x 1\nonext_x 2\n",
        "\xff\n",
        "# TYPE onext_x gauge\nonext_x 1\n# TYPE onext_x gauge\nonext_x 1\n",
        "# x\n" * 600_000,
        "onext_x{" + 'a="1",' * 20_000 + "} 1\n",
    ],
)
def test_a_broken_part_is_left_out(tmp_path: Path, content: str) -> None:
    """One bad line makes Prometheus drop the whole page."""
    (tmp_path / "a.prom").write_bytes(content.encode("latin-1"))
    (tmp_path / "b.prom").write_text(GOOD)
    found = PartMetrics(tmp_path).read()
    assert found.errors == 1
    assert found.text.decode() == GOOD
    assert list(found.samples.lines) == ["opennebula_part_metrics_age_seconds"]


@pytest.mark.parametrize("name", ["x", "opennebula_up", "opennebula_scrape_errors_total"])
def test_two_sources_cannot_have_the_same_metric(tmp_path: Path, name: str) -> None:
    """A second TYPE line of one name is an error to Prometheus, and a false `opennebula_up` a false alarm."""
    kind = "counter" if name.endswith("_total") else "gauge"
    for part in ("a", "b"):
        (tmp_path / f"{part}.prom").write_text(f"# TYPE {name} {kind}\n{name} 1\n")
    found = PartMetrics(tmp_path).read()
    assert (found.errors, found.text.count(b"# TYPE")) == ((1, 1) if name == "x" else (2, 0))


def test_what_was_written_again_is_read_again(tmp_path: Path) -> None:
    """A file is checked once for each time that it is written: old figures must not be served for new ones."""
    made = PartMetrics(tmp_path)
    for value in ("1", "2", "rubbish", "3"):
        (tmp_path / "a.prom").write_text(f"onext_x {value}\n")
        expected = "" if value == "rubbish" else f"onext_x {value}\n"
        assert made.read().text.decode() == expected
        assert made.read().text.decode() == expected
    (tmp_path / "a.prom").unlink()
    assert made.read().text == b""


@pytest.mark.parametrize(("seconds", "age"), [(1.23456, "1.235"), (0.25, "0.25"), (-5.0, "0.0")])
def test_how_old_the_figures_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seconds: float, age: str
) -> None:
    """A part that hangs leaves its last figures for ever; a clock that was set back makes none of them negative."""
    (tmp_path / "a.prom").write_text(GOOD)
    os.utime(tmp_path / "a.prom", (1_800_000_000, 1_800_000_000))
    monkeypatch.setattr(time, "time", lambda: 1_800_000_000 + seconds)
    (line,) = PartMetrics(tmp_path).read().samples.lines["opennebula_part_metrics_age_seconds"]
    assert line.decode().split() == ['opennebula_part_metrics_age_seconds{part="a"}', age]


@pytest.mark.parametrize(("more", "errors"), [(0, 0), (1, 1)])
def test_the_largest_file_and_the_longest_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, more: int, errors: int
) -> None:
    """A part's page is served up to its limit, and a byte beyond it never."""
    line = "# " + "x" * (8190 + more) + "\n"
    (tmp_path / "line.prom").write_text(line)
    assert PartMetrics(tmp_path).read().errors == errors
    monkeypatch.setattr(part_metrics, "_LARGEST", len(GOOD))
    (tmp_path / "line.prom").write_text(GOOD[:-1] + " " * more + "\n")
    assert PartMetrics(tmp_path).read().errors == errors


def test_so_many_files_are_read(tmp_path: Path) -> None:
    """A folder that somebody fills must not make the page endless."""
    for number in range(66):
        (tmp_path / f"{number:02}.prom").write_text(f"onext_{number} 1\n")
    found = PartMetrics(tmp_path).read()
    assert found.text.count(b"\n") == 64
    assert b"onext_63 1" in found.text
