"""Metrics of the parts."""

import logging
import os
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from onext.metrics import Family, render, write


def test_the_text_format(tmp_path: Path) -> None:
    """Prometheus reads it as documented."""
    write(
        tmp_path / "m",
        "power",
        [Family("onext_hosts_on", "gauge", "Hosts\non.", [({"cluster": 'a"b\\'}, 3)])],
    )
    text = (tmp_path / "m/power.prom").read_text()
    assert (
        text
        == '# HELP onext_hosts_on Hosts\\non.\n# TYPE onext_hosts_on gauge\nonext_hosts_on{cluster="a\\"b\\\\"} 3.0\n'
    )


@given(st.text(), st.floats(allow_nan=False))
def test_a_label_cannot_leave_its_line(text: str, value: float) -> None:
    """A cluster's name must not add a metric."""
    lines = render([Family("m", "gauge", "help", [({"l": text}, value)])]).split("\n")
    assert len(lines) == 4
    assert float(lines[2].rpartition(" ")[2]) == value


def test_counters_keep_their_name() -> None:
    """`_total` is a part of the name that rules and dashboards use."""
    text = render([Family("onext_wakes_total", "counter", "Wakes.", [({}, 2)])])
    assert (
        text == "# HELP onext_wakes_total Wakes.\n# TYPE onext_wakes_total counter\nonext_wakes_total 2.0\n"
    )


@given(
    st.lists(
        st.tuples(st.text(max_size=9), st.floats(allow_nan=False, allow_infinity=False)),
        unique_by=lambda s: s[0],
    )
)
def test_what_is_written_can_be_read(samples: list[tuple[str, float]]) -> None:
    """One line that Prometheus cannot read ends the whole scrape."""
    text = render([Family("m", "gauge", "help", [({"l": label}, value) for label, value in samples])])
    found = [sample for family in text_string_to_metric_families(text) for sample in family.samples]
    assert [(sample.labels["l"], sample.value) for sample in found] == samples


def test_the_same_figures_are_of_now(tmp_path: Path) -> None:
    """Figures that do not change would be reported as stale after ten minutes."""
    family = Family("m", "gauge", "help", [({}, 1)])
    write(tmp_path, "a", [family])
    os.utime(tmp_path / "a.prom", (1, 1))
    write(tmp_path, "a", [family])
    assert (tmp_path / "a.prom").stat().st_mtime > time.time() - 3600


def test_C2_metrics_that_cannot_be_written_end_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A full /run must not end a round of power or targets; one line in the log says what is missing."""
    (tmp_path / "file").touch()
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            write(tmp_path / "file/metrics", "power", [Family("m", "gauge", "help", [({}, 1)])])
    assert ["the metrics of power cannot be written" in record.message for record in caplog.records] == [True]
