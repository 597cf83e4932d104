"""Text of others is read within limits."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from onext import bounds


@pytest.mark.parametrize(
    "text", ["nan", "inf", "-inf", "1e999", "", None, "1_0", "٣", "1" * 5000, "0x10", "1 2"]
)
def test_what_is_not_a_finite_plain_number_is_none(text: str | None) -> None:
    """A template value such as SINCE="nan" would otherwise pass every comparison."""
    assert bounds.number(text, -1e300, 1e300) is None


@given(st.floats(min_value=-1e6, max_value=1e6))
@example(0.00012345678901234567)  # repr has more digits behind the point than any other number
def test_numbers_in_range_are_read_as_they_are(value: float) -> None:
    """A valid setting in a template must count."""
    assert bounds.number(repr(value), -1e6, 1e6) == value


@given(st.text(max_size=80))
def test_any_text_is_within_range_or_none(text: str) -> None:
    """No text yields a number outside the range that the caller relies on."""
    value = bounds.number(text, 0, 10)
    assert value is None or 0 <= value <= 10
    counted = bounds.whole(text, 0, 10)
    assert counted is None or 0 <= counted <= 10


def test_whole_numbers_accept_only_digits() -> None:
    """An id such as +5 or 1_0 would be another object's name."""
    assert bounds.whole(" 42 ", 0, 100) == 42
    assert [bounds.whole(text, 0, 100) for text in ("1_0", "4.0", "٤", "9" * 5000, "101", "")] == [None] * 6


@given(st.text(), st.integers(min_value=1, max_value=50))
def test_words_are_short_and_on_one_line(text: str, longest: int) -> None:
    """A name written by a tenant cannot fill the log or forge a line of it."""
    found = bounds.words(text, longest)
    assert len(found) <= longest
    assert found.isprintable()


@pytest.mark.parametrize(
    ("text", "longest", "shown"),
    [
        (None, 5, ""),
        ("abcde", 5, "abcde"),
        ("abcdef", 5, "abcd…"),
        ("a\nb", 5, "a?b"),
        ("a\nbcd", 5, "a?bcd"),
        ("\x1b" * 9, 3, "??…"),
    ],
)
def test_a_text_is_shown_as_far_as_it_fits(text: str | None, longest: int, shown: str) -> None:
    """A name would be missing from a message, or end without a sign that it goes on."""
    assert bounds.words(text, longest) == shown


def test_depth_ends_at_the_limit() -> None:
    """400 nested brackets in a requirement would otherwise end the round with RecursionError."""
    assert bounds.depth("((a))", 2)
    assert not bounds.depth("((a))", 1)
    assert bounds.depth("(a)" * 30, 1)
    assert bounds.depth("[{", 2, "[{", "]}")
    assert not bounds.depth("[{", 1, "[{", "]}")
    assert not bounds.depth("(" * 400, 20)


@pytest.mark.parametrize(
    ("text", "low", "high", "value"),
    [
        ("1", 1, 2, 1.0),
        ("2", 1, 2, 2.0),
        ("0.99", 1, 2, None),
        ("2.01", 1, 2, None),
        (" -.5e1 ", -5, 0, -5.0),
    ],
)
def test_a_number_counts_up_to_its_limits(text: str, low: float, high: float, value: float | None) -> None:
    """The largest setting that is documented would be refused, or one above it taken."""
    assert bounds.number(text, low, high) == value
    if "." not in text:
        assert bounds.whole(text, int(low), int(high)) == value


@pytest.mark.parametrize(("text", "read"), [("0." + "0" * 24 + "1", False), ("0." + "0" * 23 + "1", True)])
def test_a_number_has_a_longest_form(text: str, read: bool) -> None:
    """A page of digits would cost time for a number that no sensor sends."""
    assert (bounds.number(text, 0, 1) is not None) is read
    longest = "-" + "1" * 18 + "." + "1" * 24 + "e-99"
    assert len(longest) == 48
    assert bounds.number(longest, -1e18, 0) is not None
    assert bounds.number(longest.replace("e-", "e-1"), -1e18, 0) is None


def test_brackets_that_close_make_room_for_others() -> None:
    """A long expression of shallow brackets would be refused, or a deep one after them taken."""
    assert bounds.depth("(a)((b))(c)", 2)
    assert not bounds.depth("(a)((b))(((c)))", 2)
    assert bounds.depth("", 0)
    assert not bounds.depth("(", 0)
