"""YAML of people: whatever stands in it, the answer is a document or a line and key, and never a value."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from onext.yaml_text import InvalidYaml, load

IMPOSSIBLE = {
    "a control character": ("a: 1\nb:\n  c: \x07b", 3, "c"),
    "an impossible date": ("x:\n  a: 2001-99-99", 2, "x.a"),
    "an impossible time": ("a: 2001-01-01T99:99:99", 1, "a"),
    "2,000 brackets": ("q: 1\na: " + "[" * 2000, 2, "a"),
    "2,000 dashes": ("- " * 2000 + "x", 1, ""),
    "5,000 digits": ("q: 1\na:\n  - x: " + "9" * 5000, 3, "a.x"),
    "a tag that does not fit": ("q: 1\na: !!int x", 2, "a"),
    "a key twice": ("a: 1\na: 2", 2, ""),
    "many aliases": ("a: &a 1\nb: [" + "*a, " * 20 + "]", 2, "b"),
    "a tab": ("a:\n\t- b", 2, ""),
}


@pytest.mark.parametrize("name", IMPOSSIBLE)
def test_S10_what_is_impossible_is_named_by_line_and_key(name: str) -> None:
    """An administrator's slip ended the worker at every start, without a line in the log."""
    text, line, key = IMPOSSIBLE[name]
    with pytest.raises(InvalidYaml) as caught:
        load(text)
    assert (caught.value.line, caught.value.key) == (line, key)


def test_S10_no_message_holds_a_value() -> None:
    """bmc.yaml holds passwords: a message about a missing quote would print one into the log."""
    for text in ("p: 'hunter2", 'p: "hunter2', "p: hunter2: x", "p: !!int hunter2", "p: *hunter2"):
        with pytest.raises(InvalidYaml) as caught:
            load(text)
        assert "hunter2" not in str(caught.value), text


@given(st.lists(st.sampled_from(list("abc:-[]{}\"'&*!#|>%@ \n\t0123.\x00\x85é")), max_size=60).map("".join))
def test_S10_any_text_is_read_or_refused(text: str) -> None:
    """Any other error would go past everyone who reads settings."""
    with contextlib.suppress(InvalidYaml):
        load(text)
