"""The energy model's figures."""

import pytest

from onext.hosts.energy import Curve, stepped


def test_curve_goes_through_its_points() -> None:
    """Saved joules would be wrong for every load between two points."""
    curve = Curve((100.0, 160.0, 300.0), 8.0)
    assert [curve.at(load) for load in (0.0, 0.25, 0.5, 0.75, 1.0, 2.0)] == [100, 130, 160, 230, 300, 300]
    assert (curve.idle, curve.peak) == (100, 300)


def test_break_even_covers_the_boot() -> None:
    """Hosts would be switched off for less time than their boot costs."""
    curve = Curve((100.0, 250.0), 8.0)
    least = curve.break_even(180)
    assert least == pytest.approx(150 * 180 / 92 + 180 + 60)
    assert curve.saved(150 * 180 / 92, 180) == pytest.approx(0, abs=1e-6)
    assert Curve((5.0, 10.0), 8.0).break_even(180) == float("inf")


def test_measured_watts_that_jitter_are_one_figure_to_the_planner() -> None:
    """A plan that changes with each reading is never the same for IDLE_MINUTES: no host would go off."""
    assert len({stepped(watts) for watts in (90.0, 91.5, 92.0)}) == 1
    assert stepped(0.0) == stepped(-3.0) == 0.0
    for watts in (4.0, 37.0, 92.0, 260.0):
        assert stepped(watts) == pytest.approx(watts, rel=0.06)
    assert stepped(80.0) < stepped(100.0) < stepped(150.0)
