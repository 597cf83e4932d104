"""YAML written by people: whatever it contains, the answer is a document or a line and key, never a value."""

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


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("a: " + "[" * 19 + "]" * 19, ""),
        ("a: " + "[" * 20 + "]" * 20, "1: a: nested more than 20 deep"),
        ("a: &a 1\nb: [" + "*a, " * 10 + "]", ""),
        ("a: &a 1\nb: [" + "*a, " * 11 + "]", "2: b: more than 10 aliases"),
        ("a: " + "9" * 30, ""),
        ("a: 0b" + "5e" * 31, ""),  # one fingerprint of 256 begins like a binary number
        ("a: 0o" + "7" * 29 + "8", ""),
        ("a: 0o" + "7" * 30, "1: a: a number of more than 30 digits; put texts in quotes"),
        ("a: 0b" + "1" * 30, "1: a: a number of more than 30 digits; put texts in quotes"),
        ("a: " + "9" * 31, "1: a: a number of more than 30 digits; put texts in quotes"),
        ("a: -0x" + "f" * 29, ""),
        ("a: -0x" + "f" * 30, "1: a: a number of more than 30 digits; put texts in quotes"),
        ("a: '" + "9" * 31 + "'", ""),
        ("\x07", "1: a control character (U+0007)"),
        ("\n\x07", "2: a control character (U+0007)"),
        ("k" * 61 + ": \x07", f"1: {'k' * 60}: a control character (U+0007)"),
        ("a:\n  # k: \x07", "2: k: a control character (U+0007)"),
        ("a: !!int x\nb: 1", "1: a: this value does not fit its tag"),
        ("b: 1\na: !!int x", "2: a: this value does not fit its tag"),
        ("x: 2001-99-99", "1: x: this value is not possible (a date, or a number too long?); put texts in quotes"),
        (f"{'k' * 61}: 2001-99-99\n", (f"1: {'k' * 60}: this value is not possible (a date, or a number too long?);"
         " put texts in quotes")),
        ("".join(f"{' ' * n}{'k' * 50}:\n" for n in range(3)) + "    a: 2001-99-99",
         (f"4: {'.'.join(['k' * 50] * 3)[:120]}: this value is not possible (a date, or a number too long?); put texts in"
         " quotes")),
    ],
)  # fmt: skip
def test_what_is_too_much_is_named_and_what_just_fits_is_read(text: str, problem: str) -> None:
    """Settings that the documentation allows would be refused, or time and memory be spent on any others."""
    if problem:
        with pytest.raises(InvalidYaml) as caught:
            load(text)
        assert str(caught.value) == problem
    else:
        assert load(text)


def test_a_document_has_a_largest_size(monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker would take minutes for a file that is not settings at all."""
    monkeypatch.setattr("onext.yaml_text.LARGEST", 4)
    assert load("a: 1") == {"a": 1}
    with pytest.raises(InvalidYaml, match="1: more than 4 characters"):
        load("a: 12")


def test_keys_are_named_by_their_path_also_behind_lists_and_aliases() -> None:
    """The message names a key that is not the wrong one."""
    for text, where in (
        ("a: [{b: 1}, {c: 2001-99-99}]", "a.c"),
        ("a: {b: {c: 1}, d: 2001-99-99}", "a.d"),
        ("x: &x {y: 1}\na: *x\nb: 2001-99-99", "b"),
        ("[a, b]: 1\nc: 2001-99-99", "c"),
        ("? {a: 1}\n: 2001-99-99", "?"),
        ("- 1\n- 2001-99-99", ""),
    ):
        with pytest.raises(InvalidYaml) as caught:
            load(text)
        assert caught.value.key == where, text
