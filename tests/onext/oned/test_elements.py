"""Pools cut into elements: the bytes path must read exactly what an XML parser reads."""

from __future__ import annotations

import contextlib
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from pathlib import Path
from xml.sax.saxutils import escape

import pytest
from hypothesis import given
from hypothesis import strategies as st

from onext.oned.elements import children, closing_at, section, split, text
from onext.oned.errors import Malformed
from onext.oned.escaped import ESCAPED, normal, unescape, whole_references

TAGS = st.sampled_from(["VM", "VM_POOL", "STATE", "TEMPLATE", "A"])
# What tenants may write: anything but control characters, which XML cannot hold, with tags and CDATA made likely.
VALUES = st.lists(
    st.sampled_from(
        ["</VM>", "<VM>", "<![CDATA[", "]]", ">", "<", "&", "&lt;", "x", "é", "<STATE>6</STATE>", "\n"]
    ),
    max_size=6,
).map(lambda parts: "".join(parts).replace("]]>", "]] >"))


@st.composite
def elements(draw: st.DrawFn, depth: int = 2) -> str:
    """Return an element as oned could write it: CDATA, escaped text, nothing, or children."""
    tag = draw(TAGS)
    kind = draw(
        st.sampled_from(["cdata", "text", "empty", "children"] if depth else ["cdata", "text", "empty"])
    )
    if kind == "empty":
        return f"<{tag}/>"
    if kind == "children":
        return f"<{tag}>{''.join(draw(st.lists(elements(depth=depth - 1), max_size=4)))}</{tag}>"
    value = draw(VALUES)
    return f"<{tag}><![CDATA[{value}]]></{tag}>" if kind == "cdata" else f"<{tag}>{escape(value)}</{tag}>"


@st.composite
def pools(draw: st.DrawFn) -> str:
    """Return the document of a pool of VMs with such children."""
    vms = draw(st.lists(st.lists(elements(), max_size=4).map("".join), max_size=4))
    return f"<VM_POOL>{''.join(f'<VM><ID>1</ID>{vm}</VM>' for vm in vms)}</VM_POOL>"


def chunked(document: bytes, size: int) -> Iterator[bytes]:
    for at in range(0, len(document), size):
        yield document[at : at + size]


def same(mine: bytes, theirs: ET.Element) -> bool:
    """Compare by direct children, recursively, what `children` and a parser see."""
    if not len(theirs):
        return text(mine) == (theirs.text or "")
    found = list(children(mine))
    return [tag.decode() for tag, _ in found] == [child.tag for child in theirs] and all(
        same(content, child) for (_, content), child in zip(found, theirs, strict=True)
    )


@given(pools(), st.integers(1, 200))
def test_elements_are_those_of_a_parser(document: str, size: int) -> None:
    """A tenant who writes tags, or CDATA, into a value would else forge or hide VMs for everybody."""
    found = list(split(chunked(document.encode(), size), "VM"))
    expected = ET.fromstring(document)
    assert len(found) == len(expected)
    for mine, theirs in zip(found, expected, strict=True):
        assert same(mine.removeprefix(b"<VM>").removesuffix(b"</VM>"), theirs)


@given(pools(), st.integers(1, 200), st.sampled_from([{}, {">": "&#62;"}, {"<": "&#x3C;", "'": "&apos;"}]))
def test_escaped_elements_are_the_same(document: str, size: int, others: dict[str, str]) -> None:
    """The exporter reads VMs without resolving references: nothing may hide or forge one there either."""
    names = {"&": "&amp;", "<": "&lt;", ">": "&gt;"} | others
    wire = "".join(names.get(character, character) for character in document).encode()
    pieces = map(normal, whole_references(chunked(wire, size)))
    found = map(unescape, split(pieces, "VM", ESCAPED))
    assert list(found) == list(split([document.encode()], "VM"))


@pytest.mark.parametrize(
    "name", ["vmpool.infoextended.raw.xml", "vmpool.infoextended.xml", "hostpool.raw.xml"]
)
def test_recorded_pools_read_as_a_parser_reads_them(recordings: Path, name: str) -> None:
    """What oned really sends must come out whole, with and without white space between tags."""
    document = (recordings / name).read_bytes()
    tag = "VM" if name.startswith("vm") else "HOST"
    found = list(split(chunked(document, 4096), tag))
    for mine, theirs in zip(found, ET.fromstring(document), strict=True):
        inner = mine.removeprefix(f"<{tag}>".encode()).removesuffix(f"</{tag}>".encode())
        assert same(inner, theirs)


def test_every_cut_is_noticed(recordings: Path) -> None:
    """Half a pool taken for a whole one would drop the other half's targets."""
    document = (recordings / "vmpool.infoextended.raw.xml").read_bytes()
    for end in range(0, len(document) - 1, 1000):
        with pytest.raises(Malformed):
            list(split(chunked(document[:end], 4096), "VM"))


@pytest.mark.parametrize(
    "document",
    [
        b'<!DOCTYPE x [<!ENTITY a "b">]><VM_POOL></VM_POOL>',
        b'<VM_POOL><VM><!ENTITY a "b"></VM></VM_POOL>',
        b"<VM_POOL><VM><!-- --></VM></VM_POOL>",
        b"<html>busy</html>",
        b"",
    ],
)
def test_doctypes_entities_and_rubbish_are_refused(document: bytes) -> None:
    """Entities expand into gigabytes; rubbish is not an empty pool."""
    with pytest.raises(Malformed):
        list(split(iter([document]), "VM"))


@pytest.mark.parametrize("document", [b"<VM_POOL></VM_POOL>", b"<VM_POOL/>", b"<VM_POOL>\n</VM_POOL>\n"])
def test_empty_pool(document: bytes) -> None:
    """A cloud without VMs is no error."""
    assert list(split(iter([document]), "VM")) == []


def test_section_ignores_children_of_its_own_name() -> None:
    """`CONTEXT = [ TEMPLATE = … ]` of a tenant must not end the VM's template early."""
    content, end = section(b"<VM><T><X><T>1</T></X><Y>2</Y></T><Z>3</Z></VM>", b"T")
    assert content == b"<X><T>1</T></X><Y>2</Y>"
    assert section(b"<VM></VM>", b"T", 2) == (b"", 2)
    assert end > 0


def test_an_unended_child_is_malformed() -> None:
    """A broken element must not read as one that lacks an attribute."""
    with pytest.raises(Malformed):
        list(children(b"<A><B>1</B>"))


@pytest.mark.parametrize(
    ("raw", "meaning"),
    [
        (b"<![CDATA[a&lt;b]]>", "a&lt;b"),
        (b"a&amp;lt;&#233;&#xe9;&quot;&#xD800;", 'a&lt;éé"\ufffd'),
        (b"\xff", "\ufffd"),
    ],
)
def test_text(raw: bytes, meaning: str) -> None:
    """Names with `&` show as their owners wrote them."""
    assert text(raw) == meaning


@given(
    st.lists(
        st.sampled_from(["<", ">", "/", "<VM>", "</VM>", "<![CDATA[", "]]>", "<VM_POOL>", "a", "&", " "])
    )
)
def test_rubbish_ends_in_an_error_or_an_end(parts: list[str]) -> None:
    """Whatever is sent, reading ends, and in no other error than Malformed."""
    document = "".join(parts).encode()
    with contextlib.suppress(Malformed):
        for element in split(iter([document]), "VM"):
            list(children(element[4:-5]))
    with contextlib.suppress(Malformed):
        list(children(document))


@pytest.mark.parametrize(
    ("document", "reason"),
    [
        ("x" * 41, f"not the document of a pool: it begins with b'{'x' * 40}'"),
        (f"<VM_POOL><VM><!{'x' * 30}></VM></VM_POOL>", f"refused in a pool's document: b'<!{'x' * 18}'"),
    ],
)
def test_what_is_refused_is_shown_as_far_as_a_line_goes(document: str, reason: str) -> None:
    """A web server's page fills the log, or nobody can tell what answered in place of oned."""
    with pytest.raises(Malformed) as refused:
        list(split([document.encode()], "VM"))
    assert str(refused.value) == reason


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"x" * 41, f"no element at b'{'x' * 40}'"),
        (b"<A><B>1</B>", "an element has no end b'</A>'"),
        (b"<" + b"T" * 60 + b"><B>", f"an element has no end b'</{'T' * 46}'"),
        (b"<A>1</A> <", "no element at b'<'"),
    ],
)
def test_what_is_no_element_is_shown_as_far_as_a_line_goes(content: bytes, reason: str) -> None:
    """The object cannot be found in the answer, or the log grows by whole templates."""
    with pytest.raises(Malformed) as refused:
        list(children(content))
    assert str(refused.value) == reason


def test_children_are_found_one_behind_the_other() -> None:
    """An attribute that follows an empty one, or a vector, would be missing."""
    content = b" <A/><B><C>1</C></B><D><D>2</D></D> <E>3</E><F/>\n"
    assert list(children(content)) == [
        (b"A", b""),
        (b"B", b"<C>1</C>"),
        (b"D", b"<D>2</D>"),
        (b"E", b"3"),
        (b"F", b""),
    ]
    assert list(children(b"")) == []


def test_an_end_before_the_element_is_not_its_end() -> None:
    """A broken element would read as a whole one."""
    with pytest.raises(Malformed):
        closing_at(b"<A>", b"</A>", b"</A><A>x<A>y", 7)
    assert closing_at(b"<A>", b"</A>", b"<A><A></A><A></A></A>", 3) == 17


@pytest.mark.parametrize(("margin", "read"), [(256, True), (257, False)])
def test_a_pool_begins_early_or_not_at_all(margin: int, read: bool) -> None:
    """A server that sends anything without an end would fill the memory before it is refused."""

    def chunks() -> Iterator[bytes]:
        yield b" " * margin
        assert read, "more was read of what is no pool"
        yield b"<VM_POOL></VM_POOL>"

    if read:
        assert list(split(chunks(), "VM")) == []
    else:
        with pytest.raises(Malformed):
            list(split(chunks(), "VM"))


@pytest.mark.parametrize(
    ("reference", "character"),
    [
        ("&#x10FFFF;", "\U0010ffff"),
        ("&#x110000;", "\ufffd"),
        ("&#xD7FF;", "\ud7ff"),
        ("&#xD800;", "\ufffd"),
        ("&#xDFFF;", "\ufffd"),
        ("&#xE000;", "\ue000"),
        ("&#1114111;", "\U0010ffff"),
        ("&#12345678;", "&#12345678;"),
    ],
)
def test_references_to_characters(reference: str, character: str) -> None:
    """A name would show as another one, or end the reading of its whole pool."""
    assert text(reference.encode()) == character


def test_an_element_has_a_largest_size(monkeypatch: pytest.MonkeyPatch) -> None:
    """An answer without an end would fill the memory of the worker."""
    element = b"<VM><A>1</A></VM>"
    monkeypatch.setattr("onext.oned.elements._LARGEST", len(element) - 1)
    pieces = [b"<VM_POOL>", element[:-1], element[-1:], b"</VM_POOL>"]
    assert list(split(pieces, "VM")) == [element]
    monkeypatch.setattr("onext.oned.elements._LARGEST", len(element) - 2)
    with pytest.raises(Malformed, match=f"an element of more than {len(element) - 2} bytes"):
        list(split(pieces, "VM"))
