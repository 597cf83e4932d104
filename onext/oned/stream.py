"""Whole pools from oned as they arrive: element by element, in bounded memory, within a deadline.

`one.vmpool.infoextended` of 10,000 VMs is 76 MB on the wire; nothing here holds more of it than one read
and one element. For single objects there is onext.oned.client.
"""

from __future__ import annotations

import contextlib
import itertools
import re
import xmlrpc.client
from collections.abc import Generator, Iterator
from typing import Any

from onext.oned.connection import Connection, Source
from onext.oned.elements import plain, split
from onext.oned.errors import Malformed, OnedError, fault, refusal
from onext.oned.escaped import ESCAPED, normal, unescape, whole_references

__all__ = ["ALL_VMS", "Source", "document", "escaped_pool", "pool", "single"]

ALL_VMS = (-2, -1, -1, -1, "")  # of every user, the whole range, all states but DONE
_HEAD = 65_536  # bytes in which the answer's value must have begun
_SUCCESS = re.compile(rb"<boolean>1</boolean></value>\s*<value>\s*(?:<string>)?(?=[^<\s])")
_FAILURE = re.compile(rb"<boolean>0</boolean>|<fault>")


def pool(source: Source, method: str, *arguments: str | int, tag: str) -> Iterator[bytes]:
    """Call `one.<method>` and yield each `<tag>` of its pool in plain form (see onext.oned.elements).

    Raises a subclass of OnedError, also after some elements: then the pool is not complete.
    """
    with contextlib.closing(document(source, method, *arguments)) as chunks:
        yield from split(chunks, tag)


def escaped_pool(source: Source, method: str, *arguments: str | int, tag: str) -> Iterator[bytes]:
    """Yield what `pool` yields, still escaped (see onext.oned.escaped): half of what reading a pool costs."""
    with contextlib.closing(_answer(source, method, *arguments)) as chunks:
        yield from split(map(normal, whole_references(chunks)), tag, ESCAPED)


def single(source: Source, method: str, *arguments: str | int) -> bytes:
    """Call `one.<method>` and return the one object that it answers in plain form; raise an OnedError."""
    with contextlib.closing(document(source, method, *arguments)) as chunks:
        element = plain(b"".join(chunks))
    if element is None:
        raise Malformed(f"one.{method}: the object ends within a CDATA section")
    return element.strip()


def document(source: Source, method: str, *arguments: str | int) -> Generator[bytes, None, None]:
    """Call `one.<method>` and yield the string that it answers, unescaped, in pieces of about 256 KB."""
    with contextlib.closing(_answer(source, method, *arguments)) as chunks:
        yield from map(unescape, whole_references(chunks))


def _answer(source: Source, method: str, *arguments: str | int) -> Generator[bytes, None, None]:
    """Call `one.<method>` and yield the string that it answers, still escaped."""
    name = f"one.{method}"
    body = xmlrpc.client.dumps((source.session, *arguments), name).encode()
    with contextlib.closing(Connection(source, name)) as connection:
        yield from _string(name, connection.post(body))


def _string(name: str, answer: Iterator[bytes]) -> Iterator[bytes]:
    """Yield the still escaped bytes of the answer's string; raise the error that oned answers."""
    head = b""
    for chunk in answer:
        head += chunk
        if begun := _SUCCESS.search(head, 0, _HEAD):
            break
        if _FAILURE.search(head, 0, _HEAD):
            raise _failure(name, head + b"".join(itertools.islice(answer, 16)))
        if len(head) > 2 * _HEAD:
            raise Malformed(f"{name}: the answer has not the form [success, value, code]")
    else:
        raise Malformed(f"{name}: the answer is cut or no XML-RPC ({len(head)} bytes)")
    chunk = head[begun.end() :]
    while (end := chunk.find(b"<")) < 0:  # the string is escaped: the next tag ends it
        yield chunk
        chunk = next(answer, b"")
        if not chunk:
            raise Malformed(f"{name}: the answer is cut within its value")
    yield chunk[:end]


def _failure(name: str, answer: bytes) -> OnedError:
    try:
        parameters: tuple[Any, ...] = xmlrpc.client.loads(answer)[0]
        _, message, code = parameters[0][:3]
    except xmlrpc.client.Fault as error:
        return fault(name, error.faultCode, error.faultString)
    except Exception as error:  # noqa: BLE001 - a parser may raise anything for an invalid answer
        return Malformed(f"{name}: the answer is not XML-RPC: {error}")
    return refusal(name, message, code)
