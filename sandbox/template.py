"""OpenNebula's templates: the syntax, the merge rules, the XML form.

Follows src/parsers/template_parser.l and template_syntax.y, src/template/Template.cc of OpenNebula.
"""

import re
from collections.abc import Iterator
from xml.etree.ElementTree import Element, ParseError

from sandbox import markup

Value = str | dict[str, str]

_BLANKS = " \t\n\v\f\r"  # a no-break space is not one

_SKIP = re.compile(r"(?:[ \t]*#[^\n]*\n|[ \t\n]+(?![ \t\n]*[=,\]]))*")
_TOKENS = (
    ("EMPTY", re.compile(r"[ \t]*=[ \t]*\n")),
    ("EQUAL", re.compile(r"[ \t]*=[ \t]*")),
    ("COMMA", re.compile(r"[ \t\n]*,[ \t\n]*")),
    ("CLOSE", re.compile(r"[ \t\n]*\][ \t\n]*")),
    ("NAME", re.compile(r"[A-Za-z0-9_]+")),
)
_OPEN = re.compile(r"[ \t]*\[[ \t\n]*")
_CDATA_END = re.compile(r"[^\n]*\]\]>[^\n]*")
_QUOTED = re.compile(r'"((?:\\"|[^"])*)"')
_BARE = re.compile(r"[^=# \t\n,\[\]]+")


def names(listed: str) -> list[str]:
    """Return the attribute names of a list, which a source has as words."""
    return listed.split()


class TemplateError(ValueError):
    """A template does not parse; the message is oned's."""


class Template:
    """Attributes by upper-case name; several of one name keep their order; a vector is a dict."""

    def __init__(self, attributes: dict[str, list[Value]] | None = None) -> None:
        self.attributes = attributes or {}

    @classmethod
    def parse(cls, source: str, *, trim: bool = False) -> "Template":
        """Read a template in OpenNebula's syntax or, when it begins with `<`, in its XML form.

        `trim` takes blanks off every value, as 7.4 does with what clients send.
        """
        if source.startswith("<"):
            template = cls._from_xml(source)
        else:
            template = cls()
            for name, value in _Parser(source).attributes():
                template.add(name, value)
        if trim:
            for values in template.attributes.values():
                values[:] = [_trimmed(value) for value in values]
        return template

    @classmethod
    def _from_xml(cls, source: str) -> "Template":
        try:
            root = markup.parse(source)
        except ParseError:
            raise TemplateError("Parse error: XML Template malformed.") from None
        template = cls()
        for element in root:
            value = _value(element)
            if value is not None:
                template.add(element.tag, value)
        return template

    def add(self, name: str, value: Value) -> None:
        """Add one more attribute of this name."""
        self.attributes.setdefault(name.upper(), []).append(value)

    def put(self, name: str, value: object) -> None:
        """Make this the only attribute of its name."""
        self.attributes[name] = [value if isinstance(value, dict) else str(value)]

    def remove(self, name: str) -> list[Value]:
        """Take out all attributes of this name and return them."""
        return self.attributes.pop(name, [])

    def get(self, name: str, default: str = "") -> str:
        """Return the first single attribute of this name."""
        return next((value for value in self.attributes.get(name, ()) if isinstance(value, str)), default)

    def vectors(self, name: str) -> list[dict[str, str]]:
        """Return all vector attributes of this name."""
        return [value for value in self.attributes.get(name, ()) if isinstance(value, dict)]

    def number(self, name: str, default: float = 0.0) -> float:
        """Return a single attribute as a number; the default when it is not one."""
        try:
            return float(self.get(name))
        except ValueError:
            return default

    def merge(self, other: "Template") -> None:
        """Replace what the other names, whole: an empty vector (`KEY=[ ]`) removes the name."""
        for name, values in other.attributes.items():
            kept = [value for value in values if value != {}]
            self.attributes.pop(name, None)
            if kept:
                self.attributes[name] = kept

    def copy(self) -> "Template":
        """Return a template that shares nothing with this one."""
        return Template(
            {
                name: [dict(v) if isinstance(v, dict) else v for v in vs]
                for name, vs in self.attributes.items()
            }
        )

    def xml(self, root: str = "TEMPLATE", after: str = "") -> str:
        """Return the XML form: names in order, every value in CDATA; `after` is XML that follows."""
        return markup.tag(root, "".join(self._elements()) + after)

    def _elements(self) -> Iterator[str]:
        for name in sorted(self.attributes):
            for value in self.attributes[name]:
                if isinstance(value, str):
                    yield markup.text(name, value)
                else:
                    yield markup.tag(name, "".join(markup.text(key, value[key]) for key in sorted(value)))


def _value(element: Element) -> Value | None:
    """Return what libxml2's tree gives: text alone is single, child elements a vector, nothing is nothing."""
    if len(element) == 0:
        return element.text or None
    return {child.tag.upper(): child.text for child in element if child.text}


def _trimmed(value: Value) -> Value:
    if isinstance(value, str):
        return value.strip(_BLANKS)
    return {key: text.strip(_BLANKS) for key, text in value.items()}


class _Parser:
    """Flex and bison of OpenNebula by hand: two lexer states, one token of look-ahead."""

    def __init__(self, source: str) -> None:
        self.source = source
        self.at = 0

    def attributes(self) -> Iterator[tuple[str, Value]]:
        while (token := self._token())[0] != "END":
            if token[0] != "NAME":
                raise self._error()
            yield token[1], self._attribute()

    def _attribute(self) -> Value:
        kind = self._token()[0]
        if kind == "EMPTY":
            return ""
        if kind != "EQUAL":
            raise self._error()
        if opened := _OPEN.match(self.source, self.at):
            self.at = opened.end()
            return self._vector()
        return self._string()

    def _vector(self) -> dict[str, str]:
        vector: dict[str, str] = {}
        kind, name = self._token()
        while kind != "CLOSE":
            if kind != "NAME" or self._token()[0] != "EQUAL":
                raise self._error()
            vector.setdefault(name.upper(), self._string())
            kind, _ = self._token()
            if kind == "COMMA":
                kind, name = self._token()
                if kind != "NAME":
                    raise self._error()
            elif kind != "CLOSE":
                raise self._error()
        return vector

    def _string(self) -> str:
        if ended := _CDATA_END.match(self.source, self.at):
            self.at = ended.end()
            raise self._error()
        quoted, bare = _QUOTED.match(self.source, self.at), _BARE.match(self.source, self.at)
        if quoted and (not bare or quoted.end() >= bare.end()):
            self.at = quoted.end()
            return quoted[1].replace('\\"', '"')
        if not bare:
            raise self._error()
        self.at = bare.end()
        return bare[0].replace('\\"', '"')

    def _token(self) -> tuple[str, str]:
        while True:
            skipped = _SKIP.match(self.source, self.at)
            self.at = skipped.end() if skipped else self.at
            for kind, pattern in _TOKENS:
                if found := pattern.match(self.source, self.at):
                    self.at = found.end()
                    return kind, found[0]
            if self.at >= len(self.source):
                return "END", ""
            self.at += 1  # flex echoes what no rule matches, and continues

    def _error(self) -> TemplateError:
        line = self.source.count("\n", 0, self.at) + 1
        column = self.at - (self.source.rfind("\n", 0, self.at) + 1)
        return TemplateError(f"Parse error: syntax error at line {line}, columns {column}:{column + 1}")
