"""The way to the other host, from the kernel's own answer."""

import socket

import pytest

from drivers.vmm.migrate.onext_migrate import net_devices, underlay
from drivers.vmm.migrate.onext_migrate.commands import Completed
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


@pytest.mark.parametrize(
    "entry", ['{"type":"local","dev":"eth0","prefsrc":"a"}', '{"dev":"lo","prefsrc":"a"}']
)
def test_this_host_by_either_sign(entry: str) -> None:
    """A tunnel to ourselves carries nothing."""
    with pytest.raises(TunnelError, match="of this host"):
        underlay.read_route(f"[{entry}]", "10.0.0.1")


@pytest.mark.parametrize(
    ("address", "usable"),
    [
        ("10.0.0.2", True),
        ("2001:db8::2", True),
        ("::1", False),
        ("fe80::2%eth0", False),
        ("0.0.0.0", False),
        ("ff02::2", False),
    ],
)
def test_which_addresses_another_host_can_be_reached_at(
    monkeypatch: pytest.MonkeyPatch, address: str, usable: bool
) -> None:
    """An address that means something else here than there leads the VM's memory elsewhere."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    monkeypatch.setattr(
        socket,
        "getaddrinfo",
        lambda *_: [(family, 1, 6, "", (address, 0)), (family, 1, 6, "", ("10.0.0.9", 0))],
    )
    assert underlay.resolve("node-b", "auto") == [*[address] * usable, "10.0.0.9"]


@pytest.mark.parametrize(
    ("metric", "device", "mtu"),
    [("", 1500, 1450), ('{"mtu":1400}', 1500, 1350), ('{"mtu":9000}', 1500, 1450)],
)
def test_what_fits_is_what_route_and_device_take(
    monkeypatch: pytest.MonkeyPatch, metric: str, device: int, mtu: int
) -> None:
    """Packets that are larger than the way are lost, and the migration hangs at its first full one."""
    said = f'[{{"dev":"eth0","prefsrc":"10.0.0.1","metrics":[{metric}]}}]'
    asked: list[list[str]] = []

    def run(argv: list[str], **_: object) -> Completed:
        asked.append(argv)
        return Completed(0, said, "")

    monkeypatch.setattr(underlay, "run", run)
    monkeypatch.setattr(net_devices, "mtu", lambda name: device if name == "eth0" else 0)
    assert underlay.route("10.0.0.2") == underlay.Underlay("10.0.0.1", "10.0.0.2", "eth0", mtu)
    assert underlay.route("10.0.0.2", "10.0.0.7").local == "10.0.0.7"
    assert [argv[4:] for argv in asked] == [["10.0.0.2"], ["10.0.0.2", "from", "10.0.0.7"]]


def test_B5_the_first_addresses_are_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    """One with a route is enough; a name with dozens of addresses must not take minutes."""
    monkeypatch.setattr(underlay, "resolve", lambda *_: [f"10.0.0.{n}" for n in range(1, 7)])

    def route(remote: str, good: str = "10.0.0.4") -> underlay.Underlay:
        if remote != good:
            raise TunnelError(f"none to {remote}")
        return underlay.Underlay("10.0.0.9", remote, "eth0", 1450)

    monkeypatch.setattr(underlay, "route", route)
    assert [way.remote for way in underlay.ways_to("node-b", "auto")] == ["10.0.0.4"]
    monkeypatch.setattr(underlay, "route", lambda remote: route(remote, "10.0.0.5"))
    with pytest.raises(TunnelError, match=r"no route to node-b: none to 10.0.0.1; .*; none to 10.0.0.4$"):
        underlay.ways_to("node-b", "auto")
