"""What hosts are measured to draw: whose word counts, and what becomes of it."""

from pathlib import Path

import pytest

from hooks.power.power_readings import parsed
from onext.hosts.energy import Curve, sources
from onext.hosts.watt_model import Metered, Reading, learn, load, save

NOW = 1_800_000_000.0
MODEL = Curve((100.0, 250.0), 8.0)


def reading(source: str, watts: float, share: float = 0.0, *, off: bool = False) -> Reading:
    return Reading(7, source, watts, MODEL, share, off)


def test_a_busy_host_is_measured_too() -> None:
    """In a packed cluster no host is ever idle, and the savings would stay a guess for good."""
    known = learn({}, [reading("bmc", 210.0, 0.4)], NOW)
    assert known[7] == Metered("bmc", 150.0, None, NOW)
    curve = MODEL.measured(known[7].idle, known[7].off, known[7].source)
    assert (curve.idle, curve.peak, curve.off, curve.source) == (150.0, 300.0, 8.0, "bmc")


def test_wall_power_beats_that_of_the_cpus() -> None:
    """RAPL sees neither fans nor disks nor power supply: it would halve what a host saves."""
    known = learn({}, [reading("kepler", 40.0)], NOW)
    assert known[7].source == "kepler"
    known = learn(known, [reading("scaphandre", 42.0)], NOW + 600)
    known = learn(known, [reading("bmc", 120.0)], NOW + 1200)
    assert (known[7].source, known[7].idle) == ("bmc", 120.0)
    assert learn(known, [reading("kepler", 40.0)], NOW + 1800) == known
    week = learn(known, [reading("kepler", 40.0)], NOW + 8 * 86_400)
    assert week[7].source == "kepler", "a BMC that fell silent for a week is believed no more"


def test_cpus_that_are_off_draw_nothing() -> None:
    """Wall power off against RAPL's idle would make small hosts look as if being off cost energy."""
    known = learn({}, [reading("scaphandre", 6.0)], NOW)
    assert known[7].off == 0.0


def test_a_single_figure_does_not_turn_everything_over() -> None:
    """One peak while a fan runs up, and the plan would change its mind."""
    known = learn({}, [reading("bmc", 100.0)], NOW)
    known = learn(known, [reading("bmc", 200.0)], NOW + 600)
    assert known[7].idle == pytest.approx(130.0)


def test_a_bmc_that_repeats_its_last_figure_says_nothing_of_off() -> None:
    """A host that is off would count as one that draws as much as ever, and be left on."""
    known = learn({}, [reading("bmc", 110.0)], NOW)
    known = learn(known, [reading("bmc", 110.0, off=True)], NOW + 600)
    assert known[7].off is None
    known = learn(known, [reading("bmc", 12.0, off=True)], NOW + 1200)
    assert (known[7].idle, known[7].off) == (110.0, 12.0)
    assert learn({}, [reading("bmc", 12.0, off=True)], NOW) == {}, "idle was never seen"


def test_rounds_and_commands_share_what_was_learned(tmp_path: Path) -> None:
    """`onext power plan` would say `by the model` of hosts that are measured."""
    assert load(tmp_path) == {}
    known = {7: Metered("bmc", 101.5, 9.0, NOW)}
    save(tmp_path, known)
    assert load(tmp_path) == known
    (tmp_path / "power-watts.json").write_text('{"7": [1]}')
    assert load(tmp_path) == {}


def test_the_exporters_page_gives_watts_by_host() -> None:
    """A figure of another host, or none at all, taken for this one's."""
    page = (
        "# HELP opennebula_host_power_watts Power\n"
        'opennebula_host_power_watts{one_host_id="3",source="kepler"} 41.5\n'
        'opennebula_host_power_watts{one_host_id="4",source="scaphandre"} 1e3\n'
        'opennebula_host_power_watts{one_host_id="5",source="kepler"} NaN\n'
        'opennebula_host_power_watts{one_host_id="6",source="rumour"} 3\n'
        'opennebula_vm_power_watts{one_vm_id="3"} 9\n'
    )
    assert parsed(page) == {3: ("kepler", 41.5), 4: ("scaphandre", 1000.0)}


def test_people_are_told_where_watts_come_from() -> None:
    """A guess that looks like a measurement."""
    curves = [MODEL, MODEL.measured(90, None, "bmc"), MODEL.measured(95, 7, "bmc")]
    assert sources(curves) == "2 by the BMCs, 1 by the model"


def test_D1_a_load_that_the_model_does_not_fit_teaches_nothing() -> None:
    """An idle of 0 W was learned from a busy host, and nothing was ever switched off again."""
    assert learn({}, [reading("bmc", 90.0, 0.9)], NOW) == {}
    known = learn({}, [reading("bmc", 110.0)], NOW)
    assert learn(known, [reading("bmc", 90.0, 0.9)], NOW + 600) == known


@pytest.mark.parametrize("repeated", [97.0, 60.0])
def test_D1_a_figure_near_idle_while_off_is_a_repeated_one(repeated: float) -> None:
    """97 W of 99 W idle gave a break-even time of 11,362 s."""
    known = learn({}, [reading("bmc", 99.0)], NOW)
    assert learn(known, [reading("bmc", repeated, off=True)], NOW + 600)[7].off is None


@pytest.mark.parametrize("stored", [Metered("bmc", 0.0), Metered("bmc", 65535.0), Metered("bmc", 90.0, 97.0)])
def test_D1_what_an_earlier_version_learned_wrongly_is_forgotten(tmp_path: Path, stored: Metered) -> None:
    """It would be believed for another week."""
    save(tmp_path, {7: stored, 8: Metered("bmc", 101.5, 9.0, NOW)})
    assert set(load(tmp_path)) == {8}


@pytest.mark.parametrize(
    ("before", "source", "age", "learned"),
    [
        ("bmc", "kepler", 7 * 86_400 - 1, False),
        ("bmc", "kepler", 7 * 86_400, True),
        ("bmc", "bmc", 60, True),
        ("kepler", "scaphandre", 60, True),
        ("scaphandre", "kepler", 60, False),
        ("unknown", "kepler", 60, True),
    ],
)
def test_a_lesser_source_takes_over_after_a_week(before: str, source: str, age: float, learned: bool) -> None:
    """A BMC that was away for an hour would lose its word, or one that is gone keep it for ever."""
    known = {7: Metered(before, 100.0, 9.0, NOW)}
    found = learn(known, [reading(source, 60.0)], NOW + age)[7]
    assert (found != known[7]) is learned
    assert not learned or found.at == NOW + age


def test_another_source_begins_anew() -> None:
    """Wall power would be mixed with that of the CPUs."""
    known = learn({7: Metered("kepler", 40.0, 0.0, NOW)}, [reading("bmc", 120.0)], NOW + 60)
    assert known[7] == Metered("bmc", 120.0, None, NOW + 60)
    same = learn({7: Metered("bmc", 100.0, 9.0, NOW)}, [reading("bmc", 110.0)], NOW + 60)
    assert same[7] == Metered("bmc", pytest.approx(103.0), 9.0, NOW + 60)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("watts", "load", "learned"), [(150.0, 0.9, True), (149.0, 0.9, False), (100.0, 0.6, True)]
)
def test_a_tenth_must_be_left_for_idling(watts: float, load: float, learned: bool) -> None:
    """A model that does not fit would teach an idle of nothing."""
    assert bool(learn({}, [reading("bmc", watts, load)], NOW)) is learned


@pytest.mark.parametrize(("watts", "learned"), [(50.0, True), (50.1, False), (0.0, True)])
def test_watts_off_are_at_most_half_of_idle(watts: float, learned: bool) -> None:
    """A figure that a BMC repeats would be what the machine draws while it is off."""
    known = {7: Metered("bmc", 100.0, None, NOW)}
    found = learn(known, [reading("bmc", watts, off=True)], NOW + 60)[7]
    assert found == (Metered("bmc", 100.0, watts, NOW + 60) if learned else known[7])


@pytest.mark.parametrize(
    ("stored", "kept"),
    [
        (Metered("bmc", 0.5), True),
        (Metered("bmc", 20_000.0), True),
        (Metered("bmc", 20_001.0), False),
        (Metered("bmc", -1.0), False),
        (Metered("bmc", 90.0, 0.0), True),
        (Metered("bmc", 90.0, 90.0), True),
        (Metered("bmc", 90.0, 91.0), False),
        (Metered("bmc", 90.0, -1.0), False),
    ],
)
def test_D1_stored_figures_are_within_bounds(tmp_path: Path, stored: Metered, kept: bool) -> None:
    """One line that was edited by hand would decide which host goes off first."""
    save(tmp_path, {7: stored})
    assert bool(load(tmp_path)) is kept
