"""XML as oned writes it (values in CDATA, the rest bare, no white space), and as libxml2 prints it."""

import re
from collections.abc import Iterable, Iterator
from xml.etree.ElementTree import Element, ParseError, TreeBuilder
from xml.parsers import expat

_TOKEN = re.compile(r"<!\[CDATA\[.*?\]\]>|<[^>]+>|[^<]+", re.DOTALL)


def cdata(value: object) -> str:
    """Return the value as oned's escape_xml does: one CDATA section, whatever is in it."""
    return f"<![CDATA[{value}]]>"


def escape(text: str) -> str:
    """Return the text as libxml2 writes it into an element."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def wire(xml: str) -> bytes:
    """Return a document as it travels inside the XML-RPC answer: escaped, UTF-8."""
    return escape(xml).replace("\r", "&#x0d;").encode()


def tag(name: str, value: object) -> str:
    """Return `<NAME>value</NAME>`, bare: for numbers and for names that oned checked."""
    return f"<{name}>{value}</{name}>"


def text(name: str, value: object) -> str:
    """Return `<NAME><![CDATA[value]]></NAME>`: for whatever came from outside."""
    return f"<{name}><![CDATA[{value}]]></{name}>"


def ids(name: str, numbers: Iterable[int]) -> str:
    """Return a collection of object ids: `<NAME><ID>0</ID>…</NAME>`."""
    return tag(name, "".join(f"<ID>{number}</ID>" for number in numbers))


def pretty(xml: str) -> str:
    """Return the document indented by two spaces, as libxml2 (so Nokogiri's `to_s`) prints it."""
    return "\n".join(_lines(_TOKEN.findall(xml)))


def _lines(tokens: list[str]) -> Iterator[str]:
    depth, position = 0, 0
    while position < len(tokens):
        token = tokens[position]
        if token.startswith("</"):
            depth -= 1
            yield "  " * depth + token
        elif token.endswith("/>"):
            yield "  " * depth + token
        else:
            leaf = _leaf(tokens, position)
            yield "  " * depth + (leaf or token)
            if leaf:
                position += 2 if leaf.endswith("/>") else 3
                continue
            depth += 1
        position += 1


def _leaf(tokens: list[str], start: int) -> str:
    """Return the whole element in one line when it holds no element, else nothing."""
    opened, following = tokens[start], tokens[start + 1]
    if following.startswith("</"):
        return opened[:-1] + "/>"
    if following.startswith("<") and not following.startswith("<!["):
        return ""
    return opened + following + tokens[start + 2]


def parse(document: str) -> Element:
    """Parse a document that a client sent; DOCTYPE and with it entities are refused (ParseError)."""
    builder = TreeBuilder()
    parser = expat.ParserCreate()
    parser.buffer_text = True
    parser.StartElementHandler = builder.start
    parser.EndElementHandler = builder.end
    parser.CharacterDataHandler = builder.data
    parser.StartDoctypeDeclHandler = _refuse_doctype
    try:
        parser.Parse(document, True)
    except expat.ExpatError as error:
        raise ParseError(str(error)) from error
    return builder.close()


def _refuse_doctype(*_: object) -> None:
    raise ParseError("a DOCTYPE is refused")
