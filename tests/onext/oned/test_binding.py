"""pyone as the client uses it, in the forms that its releases have."""

from __future__ import annotations

import xmlrpc.client

import pyone
import pytest

from onext.oned import binding


class _Server(xmlrpc.client.ServerProxy):
    """A server of XML-RPC, as pyone 7.2 and later make one."""


class _Factory:
    """pyone 7.2 and later: a factory of clients, for gRPC where the environment names it."""

    def __new__(cls, uri: str, session: str, protocol: str | None = None) -> _Server:  # type: ignore[misc]  # noqa: ARG004
        """Return a server of XML-RPC where it was asked for."""
        assert protocol == "xmlrpc"
        return _Server(uri)


def test_a_pyone_that_also_speaks_grpc_is_told_to_use_xml_rpc(monkeypatch: pytest.MonkeyPatch) -> None:
    """An administrator who sets ONEAPI_PROTOCOL=grpc for other programs would stop every part."""
    monkeypatch.setattr(pyone, "OneServer", _Factory)
    transport = xmlrpc.client.Transport()
    server = binding.connect("http://127.0.0.1:2633/RPC2", "oneadmin:x", transport)
    assert isinstance(server, _Server)


def test_pyone_as_it_is_installed_is_a_server_of_xml_rpc() -> None:
    """An argument that a release of pyone does not know would be an error at every call."""
    server = binding.connect("http://127.0.0.1:2633/RPC2", "oneadmin:x", xmlrpc.client.Transport())
    assert isinstance(server, xmlrpc.client.ServerProxy)
