"""Template text, as one.*.update takes it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from onext.oned.template import UnwritableValue, render

WRITABLE = st.text(
    st.characters(max_codepoint=0xFFFF, exclude_categories=("Cs", "Cc"), exclude_characters="\\"), max_size=30
).filter(lambda text: "]]>" not in text and "\ufffe" not in text and "\uffff" not in text)


def test_forms() -> None:
    """These three forms are what OpenNebula merges, replaces and removes by."""
    assert render({"A": "x y"}) == 'A="x y"\n'
    assert render({"A": None}) == "A=[ ]\n"
    assert render({"A": {"B": 1, "C": "d"}}) == 'A=[ B="1", C="d" ]\n'


@given(WRITABLE)
def test_a_value_cannot_leave_its_quotes(value: str) -> None:
    """A host's or tenant's text must not become another attribute."""
    text = render({"A": value})
    inner = text.removeprefix('A="').removesuffix('"\n')
    assert inner.replace('\\"', "").count('"') == 0
    assert inner.replace('\\"', '"') == value


@pytest.mark.parametrize("value", ["end\\", "cr\r", "\U0001f600", 'a\\"b', "a]]>b", "a\x00b", "a\x1bb"])
def test_what_has_no_written_form_is_refused(value: str) -> None:
    """OpenNebula's parser would read something else, or nothing."""
    with pytest.raises(UnwritableValue, match="KEY"):
        render({"KEY": value})


@pytest.mark.parametrize("key", ["a", "A B", "A=", "", "1A", 'A"'])
def test_keys_are_names(key: str) -> None:
    """A key from outside must not smuggle syntax in."""
    with pytest.raises(UnwritableValue):
        render({key: "x"})
