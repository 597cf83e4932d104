"""A node whose kernel has WireGuard, in a virtual machine: nothing but the node program and the kernel carries it."""

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.fixtures_sandbox import Sandbox
from tests.lab import edge_guest, edge_network
from tests.lab.edge_guest import EMULATION, Guest, build_initrd
from tests.lab.edge_network import Network, Node, network
from tests.lab.test_edge import reaches
from tests.waiting import until

pytestmark = pytest.mark.timeout(1800)


@pytest.fixture
def net(tmp_path: Path, sandboxes: Callable[..., Sandbox], pytestconfig: pytest.Config) -> Iterator[Network]:
    """Return the network with a front-end that is ready."""
    if pytestconfig.getoption("lab") != "all":
        pytest.skip("minutes of emulation: make lab")
    reason = edge_network.why_not() or edge_guest.why_not()
    if reason and os.environ.get("CI"):
        pytest.fail(reason)
    if reason:
        pytest.skip(reason)
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
