"""XML from outside, read without document types: entities can neither expand nor fetch."""

from __future__ import annotations

from xml.etree import ElementTree as ET

Element = ET.Element


class MalformedXML(ValueError):
    """The text is cut, not well-formed, or has a DOCTYPE."""


class _NoDoctype(ET.TreeBuilder):
    def doctype(self, name: str, pubid: str | None, system: str | None) -> None:  # noqa: ARG002
        raise MalformedXML(f"DOCTYPE {name!r} refused: documents from OpenNebula have none")


def parse(text: str | bytes) -> Element:
    """Return the root element of `text`; raise MalformedXML."""
    parser = ET.XMLParser(target=_NoDoctype())  # noqa: S314 - without a DOCTYPE no entities exist
    try:
        parser.feed(text)
        root = parser.close()
    except ET.ParseError as error:
        raise MalformedXML(f"not XML: {error}") from error
    assert isinstance(root, ET.Element)
    return root
