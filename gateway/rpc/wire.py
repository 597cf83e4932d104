"""XML-RPC as OpenNebula's clients send it: parsed within bounds, and encoded anew.

What is forwarded is what was understood: no comment, entity, duplicate or unknown element reaches oned.
"""

from __future__ import annotations

import re
import xmlrpc.client
from collections.abc import Sequence
from dataclasses import dataclass, field
from xml.parsers.expat import ExpatError

from gateway.refusals import Invalid
from gateway.rpc.scan import scan
from gateway.rpc.table import Argument

_METHOD = re.compile(r"[a-z]{1,20}(?:\.[a-z0-9_]{1,40}){1,3}")
_PROLOG = re.compile(rb"\s*(?:<\?xml[^>]*\?>)?")
_ENCODING = re.compile(rb"encoding\s*=\s*[\"']([^\"']*)", re.IGNORECASE)
# What xmlrpc.client raises for bodies that are no call.
_UNREADABLE = (
    ExpatError, xmlrpc.client.Error, ValueError, TypeError, LookupError, RecursionError, OverflowError,
    AttributeError, AssertionError,
)  # fmt: skip
_MOST_ARGUMENTS, _MOST_ITEMS = 16, 1000
_SECTION = b"<![CDATA["
_MOST_TAGS, _LONGEST_TAG = 10_000, 200  # an argument has six tags, an item of an array four
_MOST_BREAKS = 1_000_000  # references and ends of lines: the parser stops at each
_RANGE = 1 << 31
_CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f]")
_BEGIN = "<?xml version='1.0'?>\n<methodCall>\n<methodName>"
AUTHENTICATION, INTERNAL = 0x0100, 0x2000  # oned's ErrorCode
AUTHORISATION = 0x0200


@dataclass(frozen=True)
class Request:
    """A call; the session is a secret."""

    method: str
    session: str = field(repr=False)
    arguments: tuple[Argument, ...] = field(repr=False)


def read(body: bytes) -> Request:
    """Read a call; raise Invalid."""
    if (scanned := scan(body)) is not None:
        return _request(*scanned)
    prolog = _PROLOG.match(body)
    encoding = _ENCODING.search(prolog[0]) if prolog else None
    if encoding is not None and encoding[1].lower() not in (b"utf-8", b"utf8"):
        raise Invalid("XML-RPC in UTF-8 is expected")
    _require_readable(body)
    try:
        body.decode()
        if b"<!" in body.replace(b"<![CDATA[", b""):
            raise Invalid("a document type or comment in XML-RPC")
        arguments, method = xmlrpc.client.loads(body, use_builtin_types=True)
    except _UNREADABLE:
        raise Invalid("not a call of XML-RPC") from None
    return _request(method, arguments)


def _require_readable(body: bytes) -> None:
    """Raise Invalid for what takes seconds to parse: no client sends so many or such long tags."""
    first, *sections = body.split(_SECTION, _MOST_TAGS + 1)
    outside = b"".join([first, *(one.partition(b"]]>")[2] for one in sections)])
    tags = outside.split(b"<", _MOST_TAGS + 1)[1:]
    breaks = sum(body.count(one) for one in (b"&", b"\n", b"\r"))
    long = any(tag.find(b">", 0, _LONGEST_TAG) < 0 for tag in tags)
    if len(sections) > _MOST_TAGS or len(tags) > _MOST_TAGS or breaks > _MOST_BREAKS or long:
        raise Invalid("not a call of OpenNebula: more elements, longer tags or more lines than any has")


def _request(method: str | None, arguments: Sequence[object]) -> Request:
    if method is None or not _METHOD.fullmatch(method):
        raise Invalid("not the name of a call")
    if not arguments or not isinstance(arguments[0], str) or len(arguments) > _MOST_ARGUMENTS + 1:
        raise Invalid("the first argument of a call has to be user:password or user:token")
    return Request(method, arguments[0], tuple(_argument(one) for one in arguments[1:]))


def _argument(value: object) -> Argument:
    if isinstance(value, list) and len(value) <= _MOST_ITEMS:
        numbers = [one for one in value if isinstance(one, int) and not isinstance(one, bool)]
        if len(numbers) == len(value) and all(abs(one) < _RANGE for one in numbers):
            return numbers
    elif isinstance(value, int) and not isinstance(value, bool):
        if -_RANGE <= value < _RANGE:
            return value
    elif isinstance(value, bool | str | float):
        return value
    raise Invalid("an argument is of a type, or beyond a range, that OpenNebula's calls do not have")


def encode(method: str, session: str, arguments: Sequence[Argument]) -> bytes:
    """Return a call as it is sent to oned; raise Invalid for characters that XML cannot hold."""
    values = "".join(f"<param>\n{_encoded(one)}\n</param>\n" for one in (session, *arguments))
    text = f"{_BEGIN}{method}</methodName>\n<params>\n{values}</params>\n</methodCall>\n"
    if _CONTROL.search(text):
        raise Invalid("an argument holds a control character")
    return text.encode()


def _encoded(value: Argument) -> str:
    match value:
        case bool():
            return f"<value><boolean>{value:d}</boolean></value>"
        case int():
            return f"<value><int>{value}</int></value>"
        case str():
            text = value.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
            return f"<value><string>{text}</string></value>"
        case float():
            return f"<value><double>{value!r}</double></value>"
        case _:
            items = "".join(f"{_encoded(one)}\n" for one in value)
            return f"<value><array><data>\n{items}</data></array></value>"


def refusal(message: str, code: int) -> bytes:
    """Return the answer by which oned refuses a call, which every client understands."""
    return xmlrpc.client.dumps(([False, message, code, -1],), methodresponse=True).encode()
