"""When hosts may be powered off: minutes of local time, in the fields of cron."""

import time
from calendar import timegm

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hooks.power.policy import read
from hooks.power.window import LONGEST, Window
from onext.settings.power import Power

MONDAY = timegm((2026, 11, 23, 0, 0, 0))
HOUR, DAY = 3600, 86_400


def test_a_window_of_nights_of_working_days() -> None:
    """Hosts would go off in the working day."""
    window = Window.parse("* 20-23,0-5 * * 1-5")
    assert window.contains(MONDAY + 21 * HOUR)
    assert not window.contains(MONDAY + 12 * HOUR)
    assert not window.contains(MONDAY + 5 * DAY + 21 * HOUR)
    sunday = Window.parse("* * * * 7")
    assert [sunday.contains(MONDAY + day * DAY) for day in range(7)] == [False] * 6 + [True]
    assert Window.parse("* * * * SUN").contains(MONDAY + 6 * DAY)


def test_a_window_is_in_local_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """The night of the front-end's country is meant, in winter and summer."""
    monkeypatch.setenv("TZ", "Europe/Stockholm")
    time.tzset()
    window = Window.parse("* 20-23 * * *")
    winter, summer = MONDAY, timegm((2026, 7, 6, 0, 0, 0))
    assert [window.contains(winter + hour * HOUR) for hour in (18, 19, 22, 23)] == [False, True, True, False]
    assert [window.contains(summer + hour * HOUR) for hour in (17, 18, 21, 22)] == [False, True, True, False]


def test_days_match_as_in_cron() -> None:
    """Where both are restricted, either matches; a person who knows cron would be surprised otherwise."""
    either, both = Window.parse("* * 24 * 1"), Window.parse("* * */2 * 1")
    assert [either.contains(MONDAY + day * DAY) for day in range(3)] == [True, True, False]
    assert [both.contains(MONDAY + day * DAY) for day in range(7)] == [True] + [False] * 6
    assert Window.parse("* * 29 2 *").contains(timegm((2028, 2, 29, 0, 0, 0)))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("* * 30 2 *", "bad day-of-month"),
        ("* * 31 4,6,9,11 *", "bad day-of-month"),
        ("* * */29 2 MON#4", "no such day in 50 years"),
        ("* 25 * * *", "bad hour"),
        ("* * * * MOON", "bad day-of-week"),
        ("*/0 * * * *", "bad minute"),
        ("5-1 * * * *", "bad minute"),
        ("0 * * * * *", "6 fields, cron's five"),
        ("* 1" + ",1" * LONGEST + " * * *", "longer than"),
        ("* * * *", "4 fields"),
    ],
)
def test_a_window_that_never_opens_or_is_wrong_is_refused(text: str, said: str) -> None:
    """Power would search endlessly for its next day, or never switch a host off and give no reason."""
    with pytest.raises(ValueError, match=said):
        Window.parse(text)
    complaints = read({"WINDOW": text}, Power()).complaints
    assert any(said in complaint for complaint in complaints)


PIECE = st.text("0123456789*/,-LW#SUN", min_size=1, max_size=8)


@given(st.lists(PIECE, min_size=5, max_size=5).map(" ".join) | st.text(max_size=60))
def test_whatever_a_template_holds_is_a_window_or_refused(text: str) -> None:
    """A delegated manager writes it: an error of another kind would end the round of the cluster."""
    try:
        window = Window.parse(text)
    except ValueError:
        return
    assert isinstance(window.contains(MONDAY), bool)


@pytest.mark.parametrize(
    ("text", "begin", "minutes"),
    [
        ("* * * * *", 0, 8 * 1440),
        ("* 22-23 * * *", 0, 120),
        ("* 22-23,0-1 * * *", 0, 240),
        ("* * * * 1", 12 * HOUR, 1440),
        ("0 22 * * *", 0, 1),
        ("*/2 * * * *", 0, 1),
        ("* * 1 1 *", 0, 0),
    ],
)
def test_the_longest_opening_is_found_wherever_the_week_begins(text: str, begin: int, minutes: int) -> None:
    """A window of a whole day would be taken for half a day, or a moment for a window."""
    assert Window.parse(text).longest(MONDAY + begin) == minutes


def test_an_expression_at_the_limit_of_length_is_read() -> None:
    """A long list of hours would be refused with a wrong reason."""
    text = "* " + "1," * ((LONGEST - 9) // 2) + "1" + " * * *"
    text = text.replace(" * * *", " " * (LONGEST - len(text) + 1) + "* * *")
    assert len(text) == LONGEST
    assert Window.parse(text).contains(MONDAY + HOUR)
    with pytest.raises(ValueError, match="longer than"):
        Window.parse(f"{text} ")


@pytest.mark.parametrize(
    ("text", "inside"), [("30 5 * * *", True), ("30 6 * * *", False), ("31 5 * * *", False)]
)
def test_hour_and_minute_must_both_match(text: str, inside: bool) -> None:
    """Hosts would go off all day at the minute of a night's window."""
    assert Window.parse(text).contains(MONDAY + 5 * HOUR + 30 * 60) is inside
