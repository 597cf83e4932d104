"""Plots that every browser shows, with axes that people can read."""

import re
from xml.etree import ElementTree as ET

import pytest

from hooks.power.simulate.plot import Line, Panel, svg


def texts(drawn: str) -> list[str]:
    return [item.text or "" for item in ET.fromstring(drawn) if item.tag.endswith("text")]


def test_the_plot_is_well_formed_and_keeps_names_harmless() -> None:
    """A report that no browser shows, or that runs what somebody named a cluster."""
    lines = [Line("a&b", [(0, 1), (1, 1), (2, 5)]), Line("empty", [])]
    drawn = svg("<script>", "days", [Panel("hosts", lines), Panel("kWh", [])])
    root = ET.fromstring(drawn)
    assert "<script>" not in drawn
    assert len([item for item in root if item.tag.endswith("polyline")]) == 2
    assert {"<script>", "days", "hosts", "kWh", "a&b"} <= set(texts(drawn))


@pytest.mark.parametrize(
    ("highest", "wanted"),
    [(12, ["0", "2", "4", "12", "14"]), (0.3, ["0.05", "0.35"]), (7400, ["2000", "8000"])],
)
def test_axes_have_round_numbers(highest: float, wanted: list[str]) -> None:
    """Nobody reads a figure between 5.66 and 7.54."""
    drawn = texts(svg("", "", [Panel("", [Line("", [(0, highest), (7, 0)])])]))
    assert set(wanted) <= set(drawn)
    assert all(len(re.sub(r"\D", "", text).lstrip("0")) <= 4 for text in drawn)


def test_lines_stay_inside_their_panel() -> None:
    """A curve over the legend, or over the panel above, is misread."""
    drawn = svg("", "", [Panel("", [Line("", [(0, 5), (3, 50), (6, 0)], stairs=False)])] * 2)
    heights = [
        [float(point.split(",")[1]) for point in item.get("points", "").split()]
        for item in ET.fromstring(drawn)
        if item.tag.endswith("polyline")
    ]
    assert max(heights[0]) < min(heights[1])
    assert min(heights[0]) >= 60
