"""The usual small call, read in one pass: strings, whole numbers and truths, as usual clients write them.

What has any other form is left to gateway.rpc.wire, which reads it with an XML parser. Both read the same.
"""

from __future__ import annotations

import re

from gateway.rpc.table import Argument

LARGEST = 8192  # bytes
_HEAD = re.compile(
    r"""(?:<\?xml\ version=(["'])1\.0\1(?:\ encoding=(["'])(?:utf-8|UTF-8)\2)?\ ?\?>)?\s*
        <methodCall>\s*<methodName>([a-z0-9_.]{1,120})</methodName>\s*<params>\s*""",
    re.VERBOSE,
)
_PARAMETER = re.compile(
    r"""<param>\s*<value>(?:
            <string>([^<\x00-\x08\x0b-\x1f\x7f-\x9f\ufffe\uffff]*)</string>
          | <(?:int|i4)>(-?[0-9]{1,10})</(?:int|i4)>
          | <boolean>([01])</boolean>
        )</value>\s*</param>\s*""",
    re.VERBOSE,
)
_TAIL = re.compile(r"</params>\s*</methodCall>\s*")
_REFERENCES = re.compile(r"(?:[^&]+|&(?:amp|lt|gt|quot|apos);)*")
_MOST = 17  # the session and 16 arguments


def scan(body: bytes) -> tuple[str, list[Argument]] | None:
    """Return method and arguments, None where the form is not the usual one."""
    if len(body) > LARGEST:
        return None
    try:
        text = body.decode()
    except UnicodeDecodeError:
        return None
    head = _HEAD.match(text)
    if head is None or "]]>" in text:
        return None
    arguments: list[Argument] = []
    at = head.end()
    while len(arguments) <= _MOST and (found := _PARAMETER.match(text, at)):
        value = _value(*found.groups())
        if value is None:
            return None
        arguments.append(value)
        at = found.end()
    return (head[3], arguments) if _TAIL.fullmatch(text, at) else None


def _value(string: str | None, number: str | None, truth: str | None) -> Argument | None:
    if number is not None:
        return int(number)
    if truth is not None:
        return truth == "1"
    if string is None or "&" not in string:
        return string
    if not _REFERENCES.fullmatch(string):
        return None
    for name, char in (("&lt;", "<"), ("&gt;", ">"), ("&quot;", '"'), ("&apos;", "'"), ("&amp;", "&")):
        string = string.replace(name, char)
    return string
