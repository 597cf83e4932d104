"""Metrics of the parts: one file that Prometheus could not read must not cost the page."""

from __future__ import annotations

from pathlib import Path

import pytest

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
