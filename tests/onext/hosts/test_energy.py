"""The energy model's figures."""

import pytest

from onext.hosts.energy import Curve, sources, stepped


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


@pytest.mark.parametrize(
    ("load", "watts"),
    [(-1.0, 100.0), (0.0, 100.0), (0.1, 110.0), (0.5, 150.0), (0.95, 195.0), (1.0, 200.0), (7.0, 200.0)],
)
def test_a_load_beyond_the_curve_is_at_its_end(load: float, watts: float) -> None:
    """A host with a load of 101 % would draw less than an idle one."""
    assert Curve((100.0, 200.0)).at(load) == pytest.approx(watts)
    assert Curve(tuple(100.0 + 10 * n for n in range(11))).at(load) == pytest.approx(watts)


@pytest.mark.parametrize(
    ("idle", "off", "saves", "pays"),
    [(100.0, 8.0, 92.0, True), (8.0, 8.0, 0.0, False), (5.0, 8.0, 0.0, False), (9.0, 8.0, 1.0, True)],
)
def test_a_host_that_draws_as_much_when_off_saves_nothing(
    idle: float, off: float, saves: float, pays: bool
) -> None:
    """It would be switched off for a loss."""
    curve = Curve((idle, 250.0), off)
    assert curve.saves == saves
    assert (curve.break_even(180.0) < float("inf")) is pays


def test_joules_of_a_sleep_are_idle_less_off_less_the_boot() -> None:
    """Reports would show savings that were spent on booting."""
    curve = Curve((100.0, 250.0), 8.0)
    assert curve.saved(0.0, 0.0) == 0.0
    assert curve.saved(1000.0, 180.0) == 92.0 * 1000 - 150.0 * 180
    assert (curve.saves, curve.source, Curve().points, Curve().off) == (92.0, "model", (100.0, 250.0), 8.0)


@pytest.mark.parametrize(("off", "found"), [(None, 8.0), (0.0, 0.0), (12.0, 12.0)])
def test_a_measured_curve_keeps_its_shape(off: float | None, found: float) -> None:
    """Watts off that nobody measured would be none."""
    curve = Curve((100.0, 160.0, 250.0), 8.0).measured(90.0, off, "bmc")
    assert (curve.points, curve.off, curve.source) == ((90.0, 150.0, 240.0), found, "bmc")


def test_sources_are_named_in_order_and_only_those_that_count() -> None:
    """`0 by Kepler` would be read as a fault."""
    curves = [Curve(), Curve().measured(90, None, "kepler"), Curve().measured(90, None, "scaphandre")]
    assert sources(curves) == "1 by Scaphandre, 1 by Kepler, 1 by the model"
    assert sources([]) == ""
    assert [stepped(watts) for watts in (1.0, 100.0, 92.0)] == [1.0, 97.0, 88.2]
