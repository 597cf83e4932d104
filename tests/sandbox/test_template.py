"""Templates: OpenNebula's syntax and the merge rules that were measured on a real front-end."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox.template import Template, TemplateError

NAMES = st.from_regex(r"[A-Za-z0-9_]{1,12}", fullmatch=True)
TEXTS = st.text(
    st.characters(blacklist_characters='"\\\x00\r', blacklist_categories=["Cs"]), max_size=30
).filter(lambda text: "]]>" not in text)


@pytest.mark.parametrize(
    ("source", "attributes"),
    [
        ('KEY="value"', {"KEY": ["value"]}),
        ("key=value", {"KEY": ["value"]}),
        ('KEY = "a b, [c] = d | # e"', {"KEY": ["a b, [c] = d | # e"]}),
        ('KEY="two\nlines"', {"KEY": ["two\nlines"]}),
        (r'KEY="say \"hi\""', {"KEY": ['say "hi"']}),
        (r'KEY="C:\dir"', {"KEY": [r"C:\dir"]}),
        ('KEY=""', {"KEY": [""]}),
        ("KEY=\nOTHER=1", {"KEY": [""], "OTHER": ["1"]}),
        ('KEY="open', {"KEY": ['"open']}),
        ("KEY=[ ]", {"KEY": [{}]}),
        ("KEY=[]", {"KEY": [{}]}),
        ('KEY=[a="1", B = two,\n  C="three" ]', {"KEY": [{"A": "1", "B": "two", "C": "three"}]}),
        ('KEY=[A="1",A="2"]', {"KEY": [{"A": "1"}]}),
        ("DISK=[ID=0] DISK=[ID=1]", {"DISK": [{"ID": "0"}, {"ID": "1"}]}),
        ("# a comment\nKEY=1\n   # another\n", {"KEY": ["1"]}),
        ("LOG=[\n  A=1,\n  # B=2,\n  C=3\n]", {"LOG": [{"A": "1", "C": "3"}]}),
        ("A=1 B=2", {"A": ["1"], "B": ["2"]}),
        ("", {}),
        ("<TEMPLATE><A>1</A><V><B><![CDATA[2]]></B></V><E/></TEMPLATE>", {"A": ["1"], "V": [{"B": "2"}]}),
    ],
)
def test_what_parses(source: str, attributes: dict[str, list[str | dict[str, str]]]) -> None:
    """A template that a user wrote for OpenNebula would be read as another one."""
    assert Template.parse(source).attributes == attributes


@pytest.mark.parametrize(
    "source",
    [
        "KEY=a b",
        "KEY",
        "KEY=",
        "KEY=[A=1",
        "KEY=[A=1,]",
        "KEY=[A]",
        "=1",
        'KEY="a]]>b"',
        "<TEMPLATE><A>",
        '<!DOCTYPE T [<!ENTITY x "y">]><T><A>&x;</A></T>',
    ],
)
def test_what_does_not_parse(source: str) -> None:
    """A part that writes such a template would be refused only on a real front-end."""
    with pytest.raises(TemplateError, match="Parse error"):
        Template.parse(source)


@pytest.mark.parametrize(
    ("before", "change", "after"),
    [
        ("A=1 B=2", 'B="3"', {"A": ["1"], "B": ["3"]}),
        ("A=1", 'A=""', {"A": [""]}),
        ("A=1 B=2", "A=[ ]", {"B": ["2"]}),
        ("V=[A=1,B=2]", "V=[ ]", {}),
        ("V=[A=1,B=2]", "V=[A=3]", {"V": [{"A": "3"}]}),
        ("D=[I=0] D=[I=1]", "D=[I=2]", {"D": [{"I": "2"}]}),
        ("A=1", "C=[ ]", {"A": ["1"]}),
    ],
)
def test_how_an_update_merges(before: str, change: str, after: dict[str, list[str | dict[str, str]]]) -> None:
    """Results that stand in templates would be kept or lost differently than on a real front-end."""
    template = Template.parse(before)
    template.merge(Template.parse(change))
    assert template.attributes == after


@given(st.dictionaries(NAMES, TEXTS, max_size=6))
def test_whatever_is_quoted_comes_back(values: dict[str, str]) -> None:
    """A value with some character in it would be stored as another value."""
    wanted = {name.upper(): value for name, value in values.items()}
    source = "\n".join(f'{name}="{value}"' for name, value in wanted.items())
    assert {name: found[0] for name, found in Template.parse(source).attributes.items()} == wanted


@given(st.text(max_size=60))
def test_no_text_breaks_the_parser(source: str) -> None:
    """A tenant's template could end the sandbox's thread, or make it search for ever."""
    with contextlib.suppress(TemplateError):
        assert all(name == name.upper() for name in Template.parse(source).attributes)


@given(st.dictionaries(NAMES.map(str.upper).filter(lambda name: name[0].isalpha()), TEXTS, max_size=6))
def test_the_xml_form_says_the_same(values: dict[str, str]) -> None:
    """What `info` shows would not be what `update` stored."""
    template = Template({name: [value] for name, value in values.items()})
    kept = {name: [value] for name, value in values.items() if value}
    printable = all(
        character.isprintable() or character in "\n\t" for value in values.values() for character in value
    )
    if printable:
        assert Template.parse(template.xml()).attributes == kept
