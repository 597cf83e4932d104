"""Elements of a pool's document, cut out as bytes: what a whole pool is read with.

Not an XML parser: it knows the XML that oned writes (no attributes in tags, no comments, no DOCTYPE) and
nothing else, so that 52 MB cost a third of a second and no memory to speak of. What it yields is in *plain
form*: every `<` is that of a tag or of the start of a CDATA section without tags, so that searching the
bytes for a tag finds tags, whatever people write into their templates.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import chain
from xml.sax.saxutils import escape, unescape

from onext.oned.errors import Malformed

_CDATA, _CDATA_END = b"<![CDATA[", b"]]>"
# A CDATA section that holds a `<` or is followed by text, or a declaration: DOCTYPE, ENTITY, a comment.
# It begins with the rarest character, which is what a search is fast with.
_NOT_PLAIN = re.compile(rb"!(?<=<!)(?!\[CDATA\[[^<]*(?<=\]\]>)<)")
_LEAF = re.compile(rb"<([^<>/!]+)>((?:<!\[CDATA\[)?[^<]*)</[^<]*")  # up to the next tag
_OPENING = re.compile(rb"<([^<>/!]+)(/?)>")
_REFERENCE = re.compile(r"&#(?:x([0-9a-fA-F]{1,6})|([0-9]{1,7}));")
_LARGEST = 67_108_864  # bytes of one element; oned's own limit for a whole message is below


@dataclass(frozen=True)
class Form:
    """How a document's tags begin and end, and what brings whole elements into plain form.

    `plain` returns None for bytes that end within a CDATA section, and raises Malformed for a declaration.
    """

    less: bytes
    greater: bytes
    plain: Callable[[bytes], bytes | None]

    def tag(self, name: str) -> bytes:
        """Return the tag `<name>` in this form."""
        return self.less + name.encode() + self.greater


def split(chunks: Iterable[bytes], tag: str, form: Form | None = None) -> Iterator[bytes]:
    """Yield each `<tag>…</tag>` of a pool's document in plain form, tags included.

    `chunks` are the document's bytes in any pieces, in `form` (as XML where it is not given). Raises
    Malformed, after what came before was yielded, when the document is cut, has a DOCTYPE or an element
    beyond 64 MiB.
    """
    form = form or XML
    opening, closing = form.tag(tag), form.tag(f"/{tag}")
    source = iter(chunks)
    root, first = _root(source, form)
    rest = pending = b""
    for chunk in chain([first], source):
        rest += chunk
        end = rest.rfind(closing) + len(closing)
        block = form.plain(rest[:end]) if end >= len(closing) else None
        if block is None:  # no element ends here, or only inside a CDATA section
            _bounded(rest)
            continue
        rest = rest[end:]
        before, *contents = map(bytes.strip, block.split(opening))
        # An element of that name within another would have something else before it.
        if not pending and not before and all(content.endswith(closing) for content in contents):
            yield from (opening + content for content in contents)
            continue
        pieces = block.split(closing)[:-1]
        for piece in pieces:  # a template has an attribute named like the element
            pending += piece + closing
            if pending.count(opening) == pending.count(closing):
                yield pending.lstrip()
                pending = b""
        _bounded(pending)
    if pending or not re.fullmatch(rb"\s*(%b/%b%b)?\s*" % (form.less, root, form.greater), rest):
        raise Malformed(f"the pool's document is cut within or after an element {tag}")


def _root(source: Iterator[bytes], form: Form) -> tuple[bytes, bytes]:
    """Return the pool's name and what was read behind its tag."""
    root = re.compile(rb"\s*%b([A-Z_]+)(/?)%b" % (form.less, form.greater))
    head = b""
    for chunk in source:
        head += chunk
        if found := root.match(head):
            return found[1], head[found.end() :]
        if len(head) > 256:
            break
    raise Malformed(f"not the document of a pool: it begins with {head[:40]!r}")


def _bounded(element: bytes) -> None:
    if len(element) > _LARGEST:
        raise Malformed(f"an element of more than {_LARGEST} bytes")


def plain(block: bytes) -> bytes | None:
    """Return `block` in plain form, or None when it ends within a CDATA section.

    Raises Malformed for a declaration: without one, XML's own five entities are all there are.
    """
    parts = []
    at = 0
    while odd := _NOT_PLAIN.search(block, at):
        start = odd.start() - 1
        if not block.startswith(_CDATA, start):
            raise Malformed(f"refused in a pool's document: {block[start : start + 20]!r}")
        end = block.find(_CDATA_END, start)
        if end == -1:
            return None
        text = block[start + len(_CDATA) : end].decode("utf-8", "surrogateescape")
        parts += [block[at:start], escape(text).encode("utf-8", "surrogateescape")]
        at = end + len(_CDATA_END)
    return b"".join(parts) + block[at:] if parts else block


XML = Form(b"<", b">", plain)


def children(content: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield (tag, content) of each direct child within `content` (plain form, without the parent's tags).

    A child's child may have any name, even its parent's. Raises Malformed where an end tag is missing.
    """
    at, size = max(content.find(b"<"), 0), len(content)
    while at < size:
        if leaf := _LEAF.match(content, at):
            yield leaf.groups()  # type: ignore[misc]  # its two groups
            at = leaf.end()
            continue
        opening = _OPENING.match(content, at)
        if not opening:
            raise Malformed(f"no element at {content[at : at + 40]!r}")
        tag, empty = opening.groups()
        end = opening.end() if empty else end_of(tag, content, opening.end())
        yield tag, content[opening.end() : end]
        at = content.find(b"<", end if empty else content.find(b">", end))
        if at == -1:
            return


def section(element: bytes, tag: bytes, at: int = 0) -> tuple[bytes, int]:
    """Return the content of the first `<tag>` from `at` on, and where it ends; (b"", at) without one."""
    start = element.find(b"<%b>" % tag, at)
    if start < 0:
        return b"", at
    start += len(tag) + 2
    end = end_of(tag, element, start)
    return element[start:end], end


def end_of(tag: bytes, content: bytes, start: int) -> int:
    """Return where the `</tag>` of the element whose content begins at `start` is; raise Malformed."""
    return closing_at(b"<" + tag + b">", b"</" + tag + b">", content, start)


def closing_at(opening: bytes, closing: bytes, content: bytes, start: int) -> int:
    """Return where the end tag is, both tags given as they are written; raise Malformed."""
    inner, end = start, content.find(closing, start)
    while end != -1 and (inner := content.find(opening, inner, end)) != -1:
        inner += len(opening)  # a descendant of the same name: that was its end
        end = content.find(closing, end + len(closing))
    if end == -1:
        raise Malformed(f"an element has no end {closing[:48]!r}")
    return end


def text(raw: bytes) -> str:
    """Return what an element's content means: CDATA unchanged, or text with its references resolved.

    Bytes that are not UTF-8 become U+FFFD.
    """
    if raw.startswith(_CDATA):
        return raw[len(_CDATA) : raw.find(_CDATA_END)].decode("utf-8", "replace")
    plain_text = raw.decode("utf-8", "replace")
    if "&" not in plain_text:
        return plain_text
    plain_text = _REFERENCE.sub(_character, plain_text)
    return unescape(plain_text, {"&quot;": '"', "&apos;": "'"})


def _character(found: re.Match[str]) -> str:
    code = int(found[1], 16) if found[1] else int(found[2])
    return chr(code) if code <= 0x10FFFF and not 0xD800 <= code <= 0xDFFF else "\ufffd"
