"""How a call travels: XML-RPC over HTTP with a deadline, and without keep-alive.

oned serves MAX_CONN (15) connections and holds an idle one for KEEPALIVE_TIMEOUT (15 s): a client that
keeps its connections locks everybody else out.
"""

from __future__ import annotations

import time
import xmlrpc.client
from typing import Any

import pyone
import requests

from onext.oned.errors import Malformed, TimedOut, Unreachable

CONNECT_TIMEOUT = 5.0
_MAX_ANSWER = 256 << 20


class Transport(pyone.RequestsTransport):  # type: ignore[misc]  # pyone has no types
    """pyone's transport with a deadline in seconds for each whole call, and a bound on the answer."""

    def __init__(self, timeout: float, *, https: bool) -> None:
        super().__init__()
        self.set_https(https)
        self.set_https_verify(True)
        self._timeout = timeout

    def request(self, host: str, handler: str, request_body: bytes, verbose: bool = False) -> Any:  # noqa: ANN401, ARG002, FBT001, FBT002 - xmlrpc's signature
        """Send one call and return the decoded answer; raise Unreachable, TimedOut or Malformed."""
        url = self._build_url(host, handler)
        try:
            return self._decode(self._post(url, request_body))
        except requests.Timeout as error:
            raise TimedOut(f"oned at {url} did not answer within {self._timeout:g} s") from error
        except requests.RequestException as error:
            raise Unreachable(
                f"oned at {url} is not reachable: {_root(error)}; is opennebula running?"
            ) from error

    def _post(self, url: str, body: bytes) -> bytes:
        deadline = time.monotonic() + self._timeout
        headers = {"Content-Type": "text/xml", "Connection": "close"}
        timeout = (min(CONNECT_TIMEOUT, self._timeout), self._timeout)
        with requests.post(url, data=body, headers=headers, timeout=timeout, stream=True) as answer:
            answer.raise_for_status()
            parts = bytearray()
            for chunk in answer.iter_content(1 << 16):
                parts += chunk
                if len(parts) > _MAX_ANSWER:
                    raise Malformed(f"oned at {url} sent more than {_MAX_ANSWER} bytes")
                if time.monotonic() > deadline:
                    raise requests.Timeout
        return bytes(parts)

    def _decode(self, body: bytes) -> Any:  # noqa: ANN401 - whatever XML-RPC holds
        parser, target = self.getparser()
        try:
            parser.feed(body)
            parser.close()
            return target.close()
        except xmlrpc.client.Fault:
            raise
        except Exception as error:
            raise Malformed(f"oned's answer is no XML-RPC ({len(body)} bytes): {error}") from error


def _root(error: BaseException) -> BaseException:
    """Return the innermost cause: requests wraps three layers around `Connection refused`."""
    while error.__cause__ or error.__context__:
        error = error.__cause__ or error.__context__  # type: ignore[assignment]
    return error
