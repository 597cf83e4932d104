"""xmlrpc.client's transport with a deadline, a bounded answer and no connection kept.

pyone's own `timeout=` has no effect over XML-RPC; onext.oned.binding gives it this transport.
"""

from __future__ import annotations

import contextlib
import xmlrpc.client
from typing import Any

from onext.oned.connection import Connection, Source
from onext.oned.errors import Malformed

_LARGEST = 256 << 20  # bytes of an answer


class Transport(xmlrpc.client.Transport):
    """Sends each call over a separate connection, within the deadline of its source."""

    def __init__(self, source: Source) -> None:
        super().__init__()
        self._source = source

    def request(self, host: Any, handler: str, request_body: Any, verbose: bool = False) -> Any:  # noqa: ANN401, ARG002, FBT001, FBT002 - xmlrpc.client's signature
        """Send one call and return the decoded answer; raise Unreachable, TimedOut or Malformed."""
        parser, target = self.getparser()
        size = 0
        with contextlib.closing(Connection(self._source, "call")) as connection:
            for chunk in connection.post(request_body):
                size += len(chunk)
                if size > _LARGEST:
                    raise Malformed(f"{self._source.endpoint}: more than {_LARGEST} bytes of an answer")
                _feed(parser, chunk)
        return _end(parser, target)


def _feed(parser: Any, chunk: bytes) -> None:  # noqa: ANN401 - xmlrpc.client has no name for it
    try:
        parser.feed(chunk)
    except Exception as error:
        raise Malformed(f"the answer is not XML-RPC: {error}") from error


def _end(parser: Any, target: Any) -> Any:  # noqa: ANN401
    try:
        parser.close()
        return target.close()
    except xmlrpc.client.Fault:
        raise
    except Exception as error:
        raise Malformed(f"the answer is not XML-RPC, or cut: {error}") from error
