"""The envelope and what a template may choose inside it."""

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hooks.power.policy import KEYS, Method, Mode, Parked, Policy, check, read
from onext.settings.power import Power

AUTO = Power(highest_mode="auto")


def test_defaults_let_one_sleep() -> None:
    """A cluster that nobody configured must not lose a host."""
    policy = read({}, Power())
    assert (policy.mode, policy.pack, policy.min_hosts) == (Mode.OFF, False, 2)
    assert policy.spare_host
    assert (policy.max_parallel_off, policy.max_down_hosts, policy.idle_seconds) == (1, 1, 1800)


def test_template_cannot_leave_the_envelope() -> None:
    """A delegated manager would otherwise empty a cloud."""
    policy = read(
        {
            "MODE": "auto",
            "MIN_HOSTS": "0",
            "MAX_PARALLEL_OFF": "999",
            "MAX_MIGRATIONS": "99999",
            "MAX_DOWN_HOSTS": "50",
        },
        Power(),
    )
    assert policy.mode is Mode.ADVISE
    assert policy.min_hosts == 2
    assert policy.max_parallel_off == 2
    assert policy.max_migrations == 200
    assert policy.max_down_hosts == 3


def test_the_administrators_defaults_hold_where_a_template_says_nothing() -> None:
    """Fifty clusters would each need the same ten keys."""
    envelope = Power.model_validate({"defaults": {"pack": True, "IDLE_MINUTES": 20, "MAX_PARALLEL_OFF": 9}})
    policy = read({"idle_minutes": "40"}, envelope)
    assert (policy.pack, policy.idle_seconds, policy.max_parallel_off) == (True, 2400, 2)
    assert policy.mode is Mode.OFF
    wrong = read({}, Power.model_validate({"defaults": {"PACK": "maybe"}}))
    assert "PACK = 'maybe'" in wrong.complaints[0]


@given(st.dictionaries(st.sampled_from(sorted(KEYS)) | st.text(max_size=8), st.text(max_size=12)))
def test_the_worst_template_is_held_or_inside_the_envelope(chosen: dict[str, str]) -> None:
    """No text in a template may raise an error, or weaken what the administrator set."""
    policy = read(chosen, Power())
    assert policy.mode is not Mode.AUTO
    assert policy.min_hosts >= 2
    assert policy.max_parallel_off <= 2
    assert 0.1 <= policy.target_utilisation <= 1
    assert policy.spare_host


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("MODE", "on", "one of off, advise, auto"),
        ("MIN_HOST", "2", "not a key of ONEXT_POWER"),
        ("BUFFER_CPU", "-1", "not an integer"),
        ("WINDOW", "* 25 * * *", "bad hour"),
        ("WINDOW", "every night", "cron's five"),
        ("METHOD", "suspend", "not allowed"),
        ("BUFFER_GROUPS", "5", "pairs"),
    ],
)
def test_a_wrong_value_is_said_and_holds_the_cluster(key: str, value: str, said: str) -> None:
    """Guessing what somebody meant could switch the wrong hosts off."""
    assert any(said in complaint for complaint in read({key: value}, AUTO).complaints)


def test_what_the_envelope_cuts_off_is_said() -> None:
    """`onext power set` would silently not do what was asked."""
    assert any("MIN_HOSTS = 1" in line for line in check({"MIN_HOSTS": "1"}, AUTO))
    assert check({"MIN_HOSTS": "4", "MODE": "auto", "PACK": "yes"}, AUTO) == ()


def test_buffers_are_in_the_planners_units() -> None:
    """Cores taken for hundredths would keep a hundredth of the buffer."""
    policy = read({"BUFFER_CPU": "8", "BUFFER_MEMORY": "4096", "BUFFER_GROUPS": "105:2, 106:1"}, AUTO)
    assert policy.buffer_size == (800, 4096)
    assert policy.group_buffers == ((105, 2), (106, 1))
    assert read({}, AUTO).buffer_size == Policy().buffer_size


@pytest.mark.parametrize(
    "window", ["0 22 * * *", "* 22 * * *", "*/5 * * * *", "* 20-23,0-5 * * 1-5", "0-59 1 * * *"]
)
def test_E5_a_window_that_is_a_moment_is_refused_with_an_example(window: str) -> None:
    """`0 22 * * *` was accepted silently, and hosts could be switched off for one minute a day."""
    complaints = check({"WINDOW": window}, Power(clusters=(100,)))
    moment = window.startswith(("0 ", "*/5"))
    assert any("open for 1 minutes at a time" in one and "20-23,0-5" in one for one in complaints) is moment


WIDE = Power.model_validate(
    {"highest_mode": "auto", "lowest_min_hosts": 1, "suspend": True, "highest_cycles_per_day": 99}
    | {f"highest_{what}": 10**7 for what in ("parallel_off", "parallel_on", "migrations", "down_hosts")}
)


@pytest.mark.parametrize(
    ("key", "value", "found"),
    [
        ("MODE", " Auto ", Mode.AUTO),
        ("PACK", " YES", True),
        ("PACK", "No", False),
        ("PACK", "1", None),
        ("MIN_HOSTS", "0", 1),
        ("MIN_HOSTS", "2", 2),
        ("MIN_HOSTS", "1000000", 1_000_000),
        ("MIN_HOSTS", "1000001", None),
        ("MIN_HOSTS", "\u0661", None),
        ("MIN_HOSTS", "-1", None),
        ("MIN_HOSTS", "1.5", None),
        ("BUFFER_VMS", "0", 0),
        ("BUFFER_VMS", "1000", 1000),
        ("BUFFER_VMS", "1001", None),
        ("BUFFER_VMS", "-1", None),
        ("BUFFER_GROUPS", " 0:1000, 7:0,", ((0, 1000), (7, 0))),
        ("BUFFER_GROUPS", "", ()),
        ("BUFFER_GROUPS", "7:1001", None),
        ("BUFFER_GROUPS", "-1:1", None),
        ("BUFFER_GROUPS", "7:-1", None),
        ("IDLE_MINUTES", "1", 60.0),
        ("IDLE_MINUTES", "0", None),
        ("IDLE_MINUTES", "10080", 604_800.0),
        ("IDLE_MINUTES", "10081", None),
        ("MIN_ON_MINUTES", "0", 0.0),
        ("MIN_ON_MINUTES", "-1", None),
        ("WAKE_TIMEOUT", "60", 60),
        ("WAKE_TIMEOUT", "59", None),
        ("WAKE_TIMEOUT", "7200", 7200),
        ("WAKE_TIMEOUT", "7201", None),
        ("MAX_PARALLEL_OFF", "1", 1),
        ("MAX_PARALLEL_OFF", "0", None),
        ("MAX_PARALLEL_ON", "1", 1),
        ("MAX_PARALLEL_ON", "0", None),
        ("MAX_MIGRATIONS", "0", 0),
        ("MAX_MIGRATIONS", "-1", None),
        ("MAX_DOWN_HOSTS", "0", 0),
        ("MAX_DOWN_HOSTS", "-1", None),
        ("TARGET_UTILISATION", "10", 0.1),
        ("TARGET_UTILISATION", " 85% ", 0.85),
        ("TARGET_UTILISATION", "9", None),
        ("TARGET_UTILISATION", "100", 1.0),
        ("TARGET_UTILISATION", "101", None),
        ("CYCLES_PER_DAY", "1", 1),
        ("CYCLES_PER_DAY", "48", 48),
        ("CYCLES_PER_DAY", "0", None),
        ("CYCLES_PER_DAY", "49", None),
        ("METHOD", "suspend", Method.SUSPEND),
        ("PARKED_VMS", "migrate", Parked.MIGRATE),
        ("WINDOW", " ", None),
    ],
)  # fmt: skip
def test_each_key_takes_its_range_and_nothing_else(key: str, value: str, found: object) -> None:
    """A value that is misread switches hosts off at the wrong time; one that is refused holds the cluster."""
    policy = read({key: value}, WIDE)
    field = KEYS[key][0]
    refused = found is None and value.strip()
    assert bool(policy.complaints) is bool(refused)
    assert getattr(policy, field) == (getattr(read({}, WIDE), field) if refused else found)
    assert not refused or f"{key} = {value!r}" in policy.complaints[0]


@pytest.mark.parametrize(
    ("key", "value", "cut"),
    [
        ("MODE", "auto", "MODE = auto: the settings allow advise"),
        ("MIN_HOSTS", "1", "MIN_HOSTS = 1: the settings allow 2"),
        ("MAX_PARALLEL_OFF", "3", "MAX_PARALLEL_OFF = 3: the settings allow 2"),
        ("MAX_PARALLEL_ON", "21", "MAX_PARALLEL_ON = 21: the settings allow 20"),
        ("MAX_MIGRATIONS", "201", "MAX_MIGRATIONS = 201: the settings allow 200"),
        ("MAX_DOWN_HOSTS", "4", "MAX_DOWN_HOSTS = 4: the settings allow 3"),
        ("CYCLES_PER_DAY", "7", "CYCLES_PER_DAY = 7: the settings allow 6"),
        ("CYCLES_PER_DAY", "6", ""),
        ("MAX_DOWN_HOSTS", "3", ""),
        ("MIN_HOSTS", "2", ""),
        ("MODE", "advise", ""),
        ("max_parallel_on", "20", ""),
        ("MAX_MIGRATIONS", "200", ""),
        ("MAX_PARALLEL_OFF", "2", ""),
    ],
)
def test_the_edge_of_the_envelope_is_allowed_and_beyond_it_is_named(key: str, value: str, cut: str) -> None:
    """Somebody would set what has no effect, or be refused what the settings allow."""
    assert check({key: value}, Power()) == ((cut,) if cut else ())


def test_the_defaults_are_those_of_the_documentation() -> None:
    """People configure what differs from the table in docs/power.md, and rely on the rest."""
    table = (Path(__file__).parents[3] / "docs/power.md").read_text()
    rows = [row.split("|")[1:3] for row in table.splitlines() if row.startswith("| ")]
    pairs = [pair for keys, values in rows for pair in zip(keys.split(","), values.split(","), strict=False)]
    told = {key.strip(): value.strip() for key, value in pairs if key.strip() in KEYS and value.strip()}
    assert len(told) >= 14
    written = read({key: value for key, value in told.items() if value}, WIDE)
    assert written == replace(read({}, WIDE), min_hosts=2)
    assert read({}, Power()) == Policy(), "a simulation without settings goes by the same"


def test_an_unknown_key_is_named_with_those_that_exist() -> None:
    """Somebody who mistyped a key would search the documentation for it."""
    (complaint,) = read({"min_host": "2"}, Power()).complaints
    assert complaint.startswith("MIN_HOST is not a key of ONEXT_POWER: BUFFER_CPU, BUFFER_GROUPS")


@pytest.mark.parametrize(
    ("chosen", "size", "complaints"),
    [
        ({"BUFFER_CPU": "2"}, (200, 0), ()),
        ({"BUFFER_MEMORY": "512"}, (0, 512), ()),
        ({"BUFFER_MEMORY": "x"}, (0, 0), ("BUFFER_MEMORY = 'x': not an integer from 0 to 1000000",)),
    ],
)
def test_each_part_of_the_buffer_counts_by_itself(
    chosen: dict[str, str], size: tuple[int, int], complaints: tuple[str, ...]
) -> None:
    """Who asks for memory only would get none, or a typing error keep no room at all."""
    policy = read(chosen, Power())
    assert (policy.buffer_size, policy.complaints) == (size, complaints)


@pytest.mark.parametrize(("window", "minutes"), [("0-8 1 * * *", 9), ("0-9 1 * * *", 0), ("* * * 7 *", 0)])
def test_E5_ten_minutes_are_a_window(window: str, minutes: int) -> None:
    """People would be told that a window which they meant is a mistake."""
    complaints = check({"WINDOW": window}, Power())
    assert [f"open for {minutes} minutes" in one for one in complaints] == ([True] if minutes else [])


def test_suspend_is_allowed_where_the_settings_do() -> None:
    """A cluster of hosts without BMCs could not be managed at all."""
    assert read({"METHOD": "suspend"}, WIDE).complaints == ()
    assert read({"METHOD": "poweroff"}, Power()).complaints == ()
