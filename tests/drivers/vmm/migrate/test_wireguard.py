"""The WireGuard datapath: peers that are there, or a pair that is made for one migration."""

import json
import os
import socket
import threading
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from drivers.vmm.migrate.onext_migrate import (
    endpoint_device,
    endpoint_ovs,
    endpoint_peers,
    endpoint_server,
    endpoint_wireguard,
    net_devices,
    path_probe,
    tunnel,
    underlay,
    virsh_options,
)
from drivers.vmm.migrate.onext_migrate.endpoint_spec import KERNEL, OVS, PAIR, PEERS, EndpointSpec
from drivers.vmm.migrate.onext_migrate.errors import BadInputError, CommandError, TakenError, TunnelError
from drivers.vmm.migrate.onext_migrate.identity import NAME, of_pair, of_peers
from drivers.vmm.migrate.onext_migrate.json_lines import JsonLines
from drivers.vmm.migrate.onext_migrate.settings import parse
from tests.drivers.vmm.migrate.test_privileges import allowed
from tests.waiting import PATIENCE

KEY, OTHER = "A" * 43 + "=", "B" * 43 + "="
WAY = underlay.Underlay("10.0.0.1", "10.0.0.2", "eth0", 1450)
DRIVER = Path(__file__).parents[4] / "drivers/vmm/migrate"


def plan(kind: str = PAIR, *, secret: str = KEY) -> EndpointSpec:
    """Return one end of a tunnel."""
    identity = of_pair("10.0.0.1", "10.0.0.2", 51871, 0, "0" * 16)
    if kind == PEERS:
        identity = of_peers("onext-edge", "fd00:0::1", "fd00::2")
    return EndpointSpec(kind, identity, "eth0", 1440, 51871, 0, OTHER, secret)


@pytest.mark.parametrize(
    ("conf", "peers", "works", "kinds"),
    [
        ("", False, True, [OVS, KERNEL]),
        ("", False, False, [KERNEL]),
        ("", True, True, [PEERS, OVS, KERNEL]),
        ('DATAPATH="wireguard"', True, True, [PEERS]),
        ('DATAPATH="wireguard"', False, True, [PAIR]),
        ('DATAPATH="kernel"', True, True, [KERNEL]),
        ('REQUIRE_ENCRYPTION="YES"', False, True, [PAIR]),
        ('REQUIRE_ENCRYPTION="YES"', True, True, [PEERS]),
        ('REQUIRE_ENCRYPTION="YES"\nTLS="YES"', False, False, [KERNEL]),
    ],
)
def test_which_datapath(
    conf: str, peers: bool, works: bool, kinds: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A site that requires encryption got VXLAN; edge nodes opened a second tunnel inside theirs."""
    monkeypatch.setattr(net_devices, "is_wireguard", lambda _: peers)
    monkeypatch.setattr(endpoint_ovs, "works", lambda: works)
    assert tunnel._kinds(parse(conf), "eth0") == kinds


def test_the_memory_is_sent_to_the_address_inside() -> None:
    """A link-local address needs its device, an overlay address must not have one: libvirt refuses it."""
    ends = [object(), object(), tunnel.Echoes(object(), 1280, 1.0)]  # type: ignore[arg-type]
    found = {}
    for kind in (PAIR, PEERS, KERNEL):
        offer = tunnel.Offer(kind, plan(kind).identity, {})
        opened = tunnel.Tunnel(ends[0], ends[1], offer, ends[2])  # type: ignore[arg-type]
        found[kind] = (opened.migrate_uri, opened.encrypted)
    assert found[PEERS] == ("tcp://[fd00::2]", True)
    name = plan().identity.name
    assert found[PAIR] == (f"tcp://[{plan().identity.far.inside}%{name}]", True)
    assert not found[KERNEL][1]


def test_both_ends_come_to_the_same_pair() -> None:
    """Each has the other's address and key; a name is never used twice, as its keys are not."""
    near, far = (
        of_pair(*ends, 51871, 0, "0" * 16) for ends in (("10.0.0.1", "10.0.0.2"), ("10.0.0.2", "10.0.0.1"))
    )
    assert (near.name, near.near, near.far) == (far.name, far.far, far.near)
    assert {near.near.inside, near.far.inside} == {"fe80::1", "fe80::2"}
    assert NAME.match(near.name)
    assert near.name != of_pair("10.0.0.1", "10.0.0.2", 51871, 0, "1" * 16).name
    offer = tunnel._offer(WAY, PAIR, 51872, 1, {"key": KEY, "own_key": OTHER})
    assert offer.request["mtu"] == 1440
    turned = tunnel._near_request(offer.request)
    assert (turned["key"], offer.request["key"]) == (OTHER, KEY)


def test_what_wg_is_given() -> None:
    """One peer, nothing but link-local through it, and both dial: a lost handshake costs five seconds."""
    text = endpoint_wireguard.configuration(plan())
    assert f"PrivateKey = {KEY}\nListenPort = 51871\n[Peer]\nPublicKey = {OTHER}\n" in text
    assert "AllowedIPs = fe80::/64\nEndpoint = 10.0.0.2:51871\nPersistentKeepalive = 5\n" in text


class Root:
    """What is run as root, and what of it fails."""

    def __init__(self, fails: str = "") -> None:
        self.seen: list[list[str]] = []
        self.inputs: list[str] = []
        self.fails = fails

    def __call__(self, argv: list[str], text: str = "", **_: object) -> object:
        """Remember a command."""
        self.seen.append(list(argv))
        self.inputs.append(text)
        if self.fails and self.fails in " ".join(argv):
            raise CommandError(["sudo", "-n", *argv], 1, "sudo: a password is required")
        return type("Done", (), {"exit_code": 0, "stdout": "", "stderr": ""})()


@pytest.fixture
def root(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Root]:
    """Return the function that replaces sudo."""

    def use(fails: str = "") -> Root:
        made = Root(fails)
        monkeypatch.setattr(endpoint_wireguard, "as_root", made)
        monkeypatch.setattr(endpoint_device, "as_root", made)
        monkeypatch.setattr(endpoint_wireguard, "_check_port", lambda _: None)
        return made

    return use


@pytest.mark.parametrize("fails", ["", "type wireguard"])
def test_the_rules_for_sudo_are_enough_and_keys_are_no_arguments(
    root: Callable[[str], Root], fails: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Arguments are in every process list; a rule with a free argument is root for oneadmin."""
    ran = root(fails)
    monkeypatch.setattr(endpoint_device, "exists", lambda _: False)
    monkeypatch.setattr(endpoint_device, "_has_address", lambda *_: True)
    endpoint_device.build(plan())
    files = [DRIVER / "onext_migrate/sudoers"]
    assert len(ran.seen) == (5 if not fails else 6)
    for argv in ran.seen:
        assert allowed(argv) or allowed(argv, *files), argv
        assert KEY not in " ".join(argv)
    assert any(KEY in text for text in ran.inputs if text)
    for more in (
        ["wg", "set", "oxt"],
        ["wg", "setconf", "onext-edge", "/dev/stdin"],
        ["wireguard-go", "wg0"],
    ):
        assert not allowed(more, *files)
    assert not allowed(["wg", "setconf", ran.seen[-1][-2] + " x", "/dev/stdin"], *files)


def test_what_is_missing_has_a_remedy(root: Callable[[str], Root]) -> None:
    """`a password is required` does not tell which file is missing where."""
    root("setconf")
    with pytest.raises(TunnelError, match=r"sudo does not allow wg setconf: copy .*sudoers"):
        endpoint_wireguard.build(plan())
    with pytest.raises(TunnelError, match="keys of its peers are gone"):
        endpoint_wireguard.build(plan(secret=""))


@pytest.mark.process
def test_a_port_in_use_is_not_taken() -> None:
    """wireguard-go starts without it and reports nothing: the migration waited for packets in vain."""
    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as sock:
        sock.bind(("::", 0))
        with pytest.raises(TakenError, match="UDP port"):
            endpoint_wireguard._check_port(sock.getsockname()[1])


def test_peers_that_are_there_are_not_touched(
    root: Callable[[str], Root], monkeypatch: pytest.MonkeyPatch
) -> None:
    """An edge node's tunnel was built, shrunk or deleted with a migration: the node was lost."""
    ran = root("")
    monkeypatch.setattr(net_devices, "is_wireguard", lambda _: True)
    monkeypatch.setattr(endpoint_device, "_has_address", lambda *_: True)
    monkeypatch.setattr(endpoint_device, "exists", lambda _: True)
    monkeypatch.setattr(endpoint_ovs, "tear_down", lambda _: ran(["ovs"]))
    peers = plan(PEERS)
    endpoint_device.build(peers)
    assert not endpoint_device.repair(peers)
    endpoint_device.set_mtu(peers, 1200)
    endpoint_device.tear_down(peers.identity.name)
    assert ran.seen == []


@pytest.mark.process
def test_the_address_of_an_ipv4_overlay() -> None:
    """Hosts with an IPv4 WireGuard network of their own had every migration refused by a traceback."""
    assert endpoint_device._has_address("lo", "127.0.0.1")
    assert not endpoint_device._has_address("lo", "127.0.0.2")
    assert not endpoint_device._has_address("no-device", "127.0.0.1")


@pytest.mark.parametrize(
    ("kind", "local", "remote", "uri"),
    [
        (PEERS, "10.77.1.0", "10.77.1.1", "tcp://10.77.1.1"),
        (PEERS, "fd00::1", "fd00::2", "tcp://[fd00::2]"),
        (KERNEL, "10.0.0.1", "10.0.0.2", "tcp://[fe80::"),
    ],
)
def test_where_the_stream_goes(kind: str, local: str, remote: str, uri: str) -> None:
    """Libvirt takes brackets around IPv6 addresses only."""
    offer = tunnel._offer(WAY._replace(local=local, remote=remote), kind, 4789, 0, {})
    made = SimpleNamespace(offer=offer, name=offer.identity.name)
    made.listen_address = tunnel.Tunnel.listen_address.fget(made)  # type: ignore[attr-defined]
    found = tunnel.Tunnel.migrate_uri.fget(made)  # type: ignore[attr-defined]
    assert found == uri if kind == PEERS else found.startswith(uri)


def test_the_size_of_peers_is_that_of_their_route(monkeypatch: pytest.MonkeyPatch) -> None:
    """An edge node's device has the largest size of all ways, each way its own: migrations were refused."""
    metrics: list[dict[str, int]] = []
    answer = {"dst": "fd00::2", "dev": "onext-edge", "prefsrc": "fd00::1", "metrics": metrics}
    shown = SimpleNamespace(stdout=json.dumps([answer]))
    monkeypatch.setattr(underlay, "run", lambda *_, **__: shown)
    monkeypatch.setattr(net_devices, "mtu", lambda _: 1420)
    assert endpoint_device.get_mtu(plan(PEERS)) == 1420
    assert endpoint_device.get_mtu(plan(PAIR)) == 1420
    metrics.append({"mtu": 1280})
    shown.stdout = json.dumps([answer])
    assert endpoint_device.get_mtu(plan(PEERS)) == 1280
    assert endpoint_device.get_mtu(plan(PAIR)) == 1420


@pytest.mark.parametrize("arrives", [1320, 1300])
def test_peers_whose_packets_are_lost_are_refused(arrives: int) -> None:
    """The transfer would stall with the VM paused; a larger MTU at one end alone is allowed: TCP uses the smaller."""
    offer = tunnel._offer(
        WAY._replace(remote="fd00::2", local="fd00::1", device="onext-edge"), PEERS, 0, 0, {}
    )
    prober = SimpleNamespace(measure=lambda *_: path_probe.Answer(arrives, 1.0))
    near, far = SimpleNamespace(), SimpleNamespace()  # neither is asked for anything

    def tried() -> int:
        return tunnel._try_out(near, far, offer, prober, {"mtu": 1420}, {"mtu": 1320}).mtu  # type: ignore[arg-type]

    if arrives == 1320:
        assert tried() == 1320
    else:
        with pytest.raises(TunnelError, match="only packets of 1300 bytes arrive"):
            tried()


def test_another_device_is_not_taken_for_peers(monkeypatch: pytest.MonkeyPatch) -> None:
    """A route that moved to the plain network would carry memory in the clear, and be called encrypted."""
    monkeypatch.setattr(net_devices, "is_wireguard", lambda _: False)
    with pytest.raises(TunnelError, match="not WireGuard's"):
        endpoint_peers.check(plan(PEERS), addressed=True)
    monkeypatch.setattr(net_devices, "is_wireguard", lambda _: True)
    with pytest.raises(TunnelError, match="no address fd00::1"):
        endpoint_peers.check(plan(PEERS), addressed=False)


def test_a_plain_tunnel_needs_tls_where_encryption_is_required() -> None:
    """The last guard: the command itself, whoever chose the tunnel."""
    ends = virsh_options.Tunnel("tcp://[fe80::2%oxt0]", "fe80::2%oxt0", "node-b", must_encrypt=True)
    with pytest.raises(BadInputError, match="REQUIRE_ENCRYPTION"):
        virsh_options.merge(["--live", "one-1"], "", virsh_options.Wishes(), ends)
    for kvmrc, wishes in (("--tls", virsh_options.Wishes()), ("", virsh_options.Wishes(tls=True))):
        found = virsh_options.merge([*kvmrc.split(), "--live", "one-1"], kvmrc, wishes, ends)
        assert "--tls" in found.words


def test_keys_are_made_before_the_tunnel(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each end keeps its private key; the public one goes over ssh, and is the same for all attempts."""
    (inward, to_helper), (from_helper, outward) = os.pipe(), os.pipe()
    monkeypatch.setattr(endpoint_server, "new_secret", lambda: KEY)
    monkeypatch.setattr(endpoint_server, "public", lambda secret: OTHER if secret == KEY else "?")
    question = json.dumps({"protocol": 2, "do": "key"}).encode() + b"\n"
    os.write(to_helper, question + question)
    os.close(to_helper)
    thread = threading.Thread(target=endpoint_server.serve, args=[JsonLines(inward, outward)], daemon=True)
    thread.start()
    thread.join(PATIENCE)
    lines = os.read(from_helper, 65536).splitlines()
    assert [json.loads(line) for line in lines] == [{"key": OTHER}] * 2


@pytest.mark.parametrize(("flags", "tun"), [("0x1002\n", False), ("0x5001\n", True), ("", False)])
def test_a_bridge_of_ovs_in_userspace_is_no_wireguard(
    monkeypatch: pytest.MonkeyPatch, flags: str, tun: bool
) -> None:
    """It is a TAP device: deleted as a device its bridge stays, and comes back with the switch."""
    monkeypatch.setattr(net_devices, "_read", lambda _name, _which: flags)
    assert net_devices.is_tun("oxt0123456789a") is tun
