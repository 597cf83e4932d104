"""Small documents of oned, read whole within a bound."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from onext.oned.elements import children, plain, section
from onext.oned.errors import Malformed

LARGEST = 64 << 20  # bytes


def whole_document(chunks: Iterable[bytes], largest: int = LARGEST) -> bytes:
    """Return a document in plain form (see onext.oned.elements); raise Malformed beyond `largest` bytes."""
    document = bytearray()
    for chunk in chunks:
        document += chunk
        if len(document) > largest:
            raise Malformed(f"a document of more than {largest} bytes")
    found = plain(bytes(document))
    if found is None:
        raise Malformed("a document that is cut within a CDATA section")
    return found


def root_children(document: bytes, root: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield (tag, content) of each child of the element `root`; raise Malformed where it is not whole."""
    if not document.lstrip().startswith(b"<%b" % root):
        raise Malformed(f"not a document {root.decode()}: it begins with {document[:40]!r}")
    yield from children(section(document, root)[0])
