"""XML that is still escaped, as it is within an answer of XML-RPC: `&lt;ID&gt;7&lt;/ID&gt;`.

Resolving the references of 76 MB costs as much as everything else together, and few values are ever read.
*Escaped plain form* is the plain form of onext.oned.elements with `&`, `<` and `>` as references, and
nothing but `&quot;` and `&apos;` beside them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from onext.oned.elements import Form
from onext.oned.errors import Malformed

_CDATA, _CDATA_END = b"&lt;![CDATA[", b"]]&gt;"
_REFERENCE = re.compile(rb"&(amp|quot|apos|#[0-9]+|#[xX][0-9a-fA-F]+);")
_NAMED = {b"amp": b"&", b"quot": b'"', b"apos": b"'"}
TEXT = rb"[^&]*(?:&(?!lt;)[^&]*)*"  # as a pattern: everything up to the next tag
# As in onext.oned.elements; most sections have no reference in them, which the first look ahead is fast with.
_NOT_PLAIN = re.compile(
    rb"!(?<=&lt;!)(?!\[CDATA\[[^&]*(?<=\]\])&gt;&lt;)(?!\[CDATA\[%b(?<=\]\]&gt;)&lt;)" % TEXT
)


def whole_references(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """Yield the same bytes in pieces that share no reference."""
    rest = b""
    for chunk in chunks:
        data = rest + chunk
        start = data.rfind(b"&", -12)
        cut = len(data) if start < 0 or b";" in data[start:] else start
        rest = data[cut:]
        yield data[:cut]
    yield rest


def unescape(data: bytes) -> bytes:
    """Resolve the references of XML in `data` once."""
    data = data.replace(b"&lt;", b"<").replace(b"&gt;", b">")
    return _REFERENCE.sub(_character, data) if b"&" in data else data


def escape(data: bytes) -> bytes:
    """Return `data` with `&`, `<` and `>` as references."""
    return data.replace(b"&", b"&amp;").replace(b"<", b"&lt;").replace(b">", b"&gt;")


def normal(data: bytes) -> bytes:
    """Return escaped `data` with one way to write each character that counts: no `>`, no `&#60;`."""
    if b"#" in data and b"&#" in data:  # the first is rare, and quick to search for
        return escape(unescape(data))
    return data.replace(b">", b"&gt;") if b">" in data else data


def _plain(block: bytes) -> bytes | None:
    """Return a block in escaped plain form; see Form."""
    parts = []
    at = 0
    while odd := _NOT_PLAIN.search(block, at):
        start = odd.start() - len(b"&lt;")
        if not block.startswith(_CDATA, start):
            raise Malformed(f"refused in a pool's document: {block[start : start + 20]!r}")
        end = block.find(_CDATA_END, start)
        if end < 0:
            return None
        text = unescape(block[start + len(_CDATA) : end])
        parts += [block[at:start], escape(escape(text))]
        at = end + len(_CDATA_END)
    return b"".join(parts) + block[at:] if parts else block


def _character(found: re.Match[bytes]) -> bytes:
    name = found[1]
    if known := _NAMED.get(name):
        return known
    code = int(b"0" + name[1:], 16) if name[1:2] in b"xX" else int(name[1:])
    return chr(code).encode("utf-8", "replace") if code <= 0x10FFFF else b"?"


ESCAPED = Form(b"&lt;", b"&gt;", _plain)
