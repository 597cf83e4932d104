"""Figures of the parts."""

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

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
        == '# HELP onext_hosts_on Hosts\\non.\n# TYPE onext_hosts_on gauge\nonext_hosts_on{cluster="a\\"b\\\\"} 3\n'
    )


@given(st.text(), st.floats(allow_nan=False))
def test_a_label_cannot_leave_its_line(text: str, value: float) -> None:
    """A cluster's name must not add a metric."""
    lines = render([Family("m", "gauge", "help", [({"l": text}, value)])]).split("\n")
    assert len(lines) == 4
    assert float(lines[2].rpartition(" ")[2]) == value
