"""pyone, OpenNebula's own binding, with what it lacks: a transport with a deadline, and answers as they came.

Two things are not in its public interface. `timeout=` has no effect over XML-RPC, so the transport is given
to its base class, `xmlrpc.client.ServerProxy`. And above `_do_request` an empty answer raises IndexError, and
documents are bound to objects, which costs seconds for a pool. `_do_request` is the same in pyone 7.0.2,
7.2.0 and 7.3.80, against which the client is tested; pyproject.toml bounds the version.
"""

from __future__ import annotations

import xmlrpc.client
from typing import Any, Protocol

from onext.oned.errors import Refused, fault


class Server(Protocol):
    """What is used of pyone."""

    def _do_request(self, method: str, arguments: tuple[object, ...]) -> object:
        """Send a call and return the answer unparsed; raise OneException or xmlrpc.client.Error."""


def connect(endpoint: str, session: str, transport: xmlrpc.client.Transport) -> Server:
    """Return pyone's server for an XML-RPC endpoint, which uses this transport."""
    import pyone  # its import costs 0.2 s, which a command without oned need not pay

    factory: Any = pyone.OneServer  # from 7.2 on no server itself: it chooses by ONEAPI_PROTOCOL
    chosen = {} if issubclass(factory, xmlrpc.client.ServerProxy) else {"protocol": "xmlrpc"}
    server: Any = factory(endpoint, session=session, **chosen)
    xmlrpc.client.ServerProxy.__init__(server, endpoint, transport)
    return server  # type: ignore[no-any-return]


def request(server: Server, method: str, arguments: tuple[object, ...]) -> object:
    """Return the answer of `one.<method>` as it came; raise Refused for a fault or an unsendable argument."""
    import pyone

    try:
        return server._do_request(f"one.{method}", arguments)  # noqa: SLF001 - see above
    except (pyone.OneException, xmlrpc.client.Error, TypeError, OverflowError) as error:
        if isinstance(error.__context__, xmlrpc.client.Fault):  # pyone keeps only its text
            raise fault(
                f"one.{method}", error.__context__.faultCode, error.__context__.faultString
            ) from error
        raise Refused(f"one.{method}: {error}") from error
