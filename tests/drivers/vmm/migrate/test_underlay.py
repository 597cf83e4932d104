"""The way to the other host, from the kernel's own answer."""

import socket

import pytest

from drivers.vmm.migrate.onext_migrate import underlay
from drivers.vmm.migrate.onext_migrate.errors import TunnelError


def test_a_route() -> None:
    """The source address is the route's, never what /etc/hosts says of our own name."""
    text = '[{"dst":"10.0.0.2","dev":"eth0","prefsrc":"10.0.0.1","flags":[],"uid":0,"cache":[]}]'
    assert underlay.read_route(text, "10.0.0.2") == underlay.Underlay("10.0.0.1", "10.0.0.2", "eth0", 0)


def test_a_route_with_its_own_mtu() -> None:
    """A smaller MTU on the route than on the device counts."""
    text = (
        '[{"dst":"fd00::2","from":"::","dev":"eth0","prefsrc":"fd00::1","metrics":[{"mtu":1400}],"flags":[]}]'
    )
    assert underlay.read_route(text, "fd00::2").mtu == 1400


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '[{"dev":"eth0"}]', '[{"type":"unreachable","dst":"10.0.0.2"}]']
)
def test_no_route(text: str) -> None:
    """No route is a reason, not a traceback."""
    with pytest.raises(TunnelError, match="no route to"):
        underlay.read_route(text, "10.0.0.2")


def test_this_host() -> None:
    """A name that resolves to ourselves cannot be the other end."""
    with pytest.raises(TunnelError, match="of this host"):
        underlay.read_route('[{"type":"local","dst":"10.0.0.1","dev":"lo","prefsrc":"10.0.0.1"}]', "10.0.0.1")


def test_loopback_names_are_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    """Debian writes 127.0.1.1 for a host's own name."""
    answer = [(socket.AF_INET, 1, 6, "", (one, 0)) for one in ("127.0.1.1", "10.0.0.2")]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_: answer)
    assert underlay.resolve("node-b", "auto") == ["10.0.0.2"]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_: answer[:1])
    with pytest.raises(TunnelError, match="no address that another host"):
        underlay.resolve("node-b", "auto")


def test_overhead() -> None:
    """50 bytes over IPv4, 70 over IPv6."""
    assert (underlay.overhead("10.0.0.1"), underlay.overhead("fd00::1")) == (50, 70)
