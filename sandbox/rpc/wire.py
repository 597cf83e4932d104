"""XML-RPC documents, byte for byte in the manner of xmlrpc-c, which oned uses.

An answer is `[true, value, 0]`, or `[false, message, code, object id, replication index]`. Documents are not
built as one string: an answer is a list of chunks that were escaped before.
"""

from collections.abc import Sequence
from xml.etree.ElementTree import Element, ParseError

from sandbox import markup
from sandbox.errors import FAULT_PARSE, FaultError, OnedError

Argument = int | float | str | bool | list["Argument"]
Chunks = list[bytes]

_HEAD = b'<?xml version="1.0" encoding="UTF-8"?>\r\n<methodResponse>\r\n'
_OPEN = _HEAD + b"<params>\r\n<param><value><array><data>\r\n<value><boolean>%d</boolean></value>\r\n"
_CLOSE = b"</data></array></value></param>\r\n</params>\r\n</methodResponse>\r\n"


class Document(list[bytes]):
    """An XML document as the value of an answer: chunks that are already escaped."""

    @classmethod
    def of(cls, xml: str) -> "Document":
        """Escape a document."""
        return cls([markup.wire(xml)])


Value = int | str | bool | Document


def request(body: bytes) -> tuple[str, list[Argument]]:
    """Read a call: its method and arguments. FaultError for an invalid body."""
    try:
        root = markup.parse(body.decode())
        values = root.findall("params/param/value")
        return _method(root), [_argument(value) for value in values]
    except (ParseError, ValueError) as error:
        raise FaultError(FAULT_PARSE, f"Call XML not a proper XML-RPC call. {error}") from error


def _method(root: Element) -> str:
    name = root.findtext("methodName")
    if root.tag != "methodCall" or name is None:
        raise ParseError("no methodCall")
    return name.strip()


def _argument(value: Element) -> Argument:
    if len(value) == 0:
        return value.text or ""
    kind, text = value[0].tag, value[0].text or ""
    if kind in ("i4", "int", "i8"):
        return int(text)
    if kind == "boolean":
        return text.strip() == "1"
    if kind == "double":
        return float(text)
    if kind == "array":
        return [_argument(item) for item in value[0].findall("data/value")]
    if kind == "string":
        return text
    raise ParseError(f"a value of type {kind}")


def success(value: Value) -> Chunks:
    """Return the answer of a call that was done."""
    chunks = [_OPEN % 1]
    if isinstance(value, Document):
        return [*chunks, b"<value><string>", *value, b"</string></value>\r\n", _integer(0), _CLOSE]
    return [*chunks, _scalar(value), _integer(0), _CLOSE]


def failure(method: str, error: OnedError) -> Chunks:
    """Return the answer of a call that oned refused."""
    message = _scalar(f"[{method}] {error}")
    index = b"<value><i8>18446744073709551615</i8></value>\r\n"
    return [_OPEN % 0, message, _integer(error.code), _integer(error.oid), index, _CLOSE]


def fault(error: FaultError) -> Chunks:
    """Return a fault of the library below oned."""
    code = f"<member><name>faultCode</name>\r\n<value><i4>{error.code}</i4></value></member>\r\n"
    text = markup.wire(str(error)).decode()
    message = f"<member><name>faultString</name>\r\n<value><string>{text}</string></value></member>\r\n"
    body = (
        f"<fault>\r\n<value><struct>\r\n{code}{message}</struct></value>\r\n</fault>\r\n</methodResponse>\r\n"
    )
    return [_HEAD, body.encode()]


def _scalar(value: int | str) -> bytes:
    if isinstance(value, bool):
        return b"<value><boolean>%d</boolean></value>\r\n" % value
    if isinstance(value, int):
        return _integer(value)
    return b"<value><string>" + markup.wire(value) + b"</string></value>\r\n"


def _integer(value: int) -> bytes:
    return b"<value><i4>%d</i4></value>\r\n" % value


def plain(arguments: Sequence[Argument]) -> list[str]:
    """Return arguments as API hooks show them: booleans as 0 and 1, arrays as nothing."""
    return ["" if isinstance(a, list) else str(int(a)) if isinstance(a, bool) else str(a) for a in arguments]
