"""XML as oned writes it, and as libxml2 prints it."""

from xml.etree.ElementTree import ParseError

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lxml import etree  # type: ignore[import-untyped]

from sandbox import markup

TEXTS = st.text(st.sampled_from("ab <>&\"'é\n[]"), max_size=8).filter(lambda text: "]]>" not in text)
NAMES = st.sampled_from(["A", "HOST", "TEMPLATE", "ID"])
LEAVES = st.one_of(
    st.builds(markup.text, NAMES, TEXTS.filter(bool)),
    st.builds(markup.tag, NAMES, st.integers()),
    st.builds(markup.tag, NAMES, st.just("")),
)
DOCUMENTS = st.recursive(
    LEAVES,
    lambda inside: st.builds(lambda name, parts: markup.tag(name, "".join(parts)), NAMES, st.lists(inside)),
    max_leaves=12,
)


@given(DOCUMENTS)
def test_it_prints_as_libxml2_does(document: str) -> None:
    """Payloads of hooks would differ in white space from those that Nokogiri makes for oned."""
    tree = etree.fromstring(document, etree.XMLParser(strip_cdata=False))
    printed = etree.tostring(tree, pretty_print=True, encoding="unicode").rstrip("\n")
    assert markup.pretty(document) == printed


@given(TEXTS)
def test_what_travels_is_what_was_written(text: str) -> None:
    """A client would read another document than the one that was sent."""
    document = markup.text("A", text)
    sent = b"<string>" + markup.wire(document) + b"</string>"
    assert etree.fromstring(sent).text == document


@pytest.mark.parametrize(
    "document",
    [
        "",
        "<a>",
        "<a></b>",
        "<!DOCTYPE a><a/>",
        '<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>',
        "<a>&b;</a>",
        "plain",
    ],
)
def test_what_is_refused(document: str) -> None:
    """Entities could be used to read files, or to fill the memory."""
    with pytest.raises(ParseError):
        markup.parse(document)
