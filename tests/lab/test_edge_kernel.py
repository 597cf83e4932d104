"""A node whose kernel has WireGuard, in a virtual machine: nothing but the node program and the kernel carries it."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.fixtures_sandbox import Sandbox
from tests.lab import edge_guest
from tests.lab.edge_guest import EMULATION, Guest, build_initrd
from tests.lab.edge_network import Network, Node, network
from tests.lab.test_edge import CONNECT, reaches
from tests.waiting import until

pytestmark = pytest.mark.timeout(1800)


@pytest.fixture
def net(tmp_path: Path, sandboxes: Callable[..., Sandbox], pytestconfig: pytest.Config) -> Iterator[Network]:
    """Return the network with a front-end that is ready."""
    edge_guest.require(pytestconfig)
    with network(tmp_path, sandboxes) as made:
        yield made


def test_a_machine_with_the_kernels_wireguard_joins_and_comes_back_after_a_reboot(net: Network) -> None:
    """Nearly every node has WireGuard in its kernel: what needs wireguard-go would fail there."""
    token = net.token("--name", "*", "--uses", "2")
    guest, other = Guest(net, "k1", "a", 40, build_initrd(net.folder, net.program)), net.node("b1", "b", 12)
    guest.start()
    assert "ok   packages: all there" in guest.edge("check")
    assert "the host is MONITORED" in guest.edge("join", "--name", guest.name, token)
    other.join(token)
    _carried_by_the_kernel(net, guest, other)
    before = net.listed()[guest.name]
    guest.reboot()
    _carried_by_the_kernel(net, guest, other)
    assert net.listed()[guest.name] == before
    assert guest.edge("leave").endswith("left")
    assert net.listed()[guest.name]["state"] == "left"


def test_two_kernels_reach_each_other_without_the_hub(net: Network) -> None:
    """Nodes behind two NATs would send each migration over the hub's line, or past the rules of its firewall."""
    token, initrd = net.token("--name", "*", "--uses", "2"), build_initrd(net.folder, net.program)
    one, other = Guest(net, "k1", "a", 40, initrd), Guest(net, "k2", "b", 41, initrd)
    addresses = {}
    for guest in (one, other):
        guest.start()
        assert "the host is MONITORED" in guest.edge("join", "--name", guest.name, token)
        addresses[guest.name] = json.loads(guest.edge("status", "--json"))["address"]
        guest.serve()
    pairs = ((one, addresses["k2"]), (other, addresses["k1"]))
    until(lambda: all(_carries(guest, address) for guest, address in pairs), "direct peers", EMULATION)
    assert "203.0.113.194" in one.run("wg", "show", "onext-edge", "endpoints"), "the other site by its NAT"
    assert addresses["k2"] in one.run("nft", "list", "table", "inet", "onext_edge_node")
    net.front.run("ip", "link", "set", "wan", "down")
    words = ("python3", "-c", f'"{CONNECT}"', addresses["k2"])
    until(lambda: "open" in one.run(*words, "22", check=False), "ssh without the hub", EMULATION)
    other.run(
        "python3",
        "-m",
        "http.server",
        "8080",
        "--bind",
        addresses["k2"],
        "</dev/null",
        ">/dev/null",
        "2>&1",
        "&",
    )
    until(lambda: "open" in other.run(*words, "8080", check=False), "a port on the machine itself", EMULATION)
    assert "open" not in one.run(*words, "8080", check=False), "the hub's rules count without the hub"
    net.front.run("ip", "link", "set", "wan", "up")
    net.front.run("ip", "route", "replace", "default", "via", "203.0.113.1")
    net.bundle.onext("edge", "revoke", "k2")
    until(lambda: not _carries(one, addresses["k2"]), "the neighbour gives it up", EMULATION)


def _carries(guest: Guest, address: str) -> bool:
    """Whether the guest's kernel sends to an address without the hub."""
    return f"\t{address}/128" in guest.run("wg", "show", "onext-edge", "allowed-ips")


def _carried_by_the_kernel(net: Network, guest: Guest, other: Node) -> None:
    """Log in by the certificate, reach the guest from a node with wireguard-go, and look for WireGuard in the guest."""
    until(lambda: net.ssh(guest.name, "echo in").stdout == "in\n", "ssh by the certificate", EMULATION)
    status = json.loads(guest.edge("status", "--json"))
    until(lambda: reaches(other, status["address"], 22), "the guest from another node", EMULATION)
    assert "wireguard" in guest.run("ip", "-d", "link", "show", "onext-edge")
    modules = guest.run('while read -r line; do echo "$line"; done </proc/modules').splitlines()
    assert any(line.startswith("wireguard ") for line in modules)
    processes = guest.run('for file in /proc/[0-9]*/comm; do read -r name <$file && echo "$name"; done')
    assert "wireguard-go" not in processes.splitlines()
