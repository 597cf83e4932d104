"""The envelope and what a template may choose inside it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hooks.power.policy import KEYS, Mode, Policy, check, read
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
