"""A hub whose kernel has WireGuard, in a virtual machine, by an account that has CAP_NET_ADMIN and nothing else."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.fixtures_sandbox import Sandbox
from tests.lab import edge_guest
from tests.lab.edge_guest import EMULATION, Guest, build_initrd
from tests.lab.edge_network import FRONT, IPV4, Network, network
from tests.lab.test_edge import listen, reaches
from tests.waiting import until

pytestmark = pytest.mark.timeout(1800)
ACCOUNT, PLACE = 1000, "/tmp/edge"
HUB = f"""
cd /onext && PYTHONPATH=/onext exec setpriv --reuid={ACCOUNT} --regid={ACCOUNT}
--clear-groups --inh-caps=-all,+net_admin --ambient-caps=-all,+net_admin --bounding-set=-all,+net_admin --no-new-privs
python3 -m hooks.edge.hub --list {PLACE}/hub.json --key {PLACE}/hub.key"""
# the endpoint of this front-end is in another machine: what nodes send to the hub's overlay address is passed on
PASS_ON = f"""
import socket, threading
def carry(one, other):
    while data := one.recv(65536): other.sendall(data)
    other.shutdown(socket.SHUT_WR)
server = socket.create_server(('0.0.0.0', 8443))
while True:
    near, far = server.accept()[0], socket.create_connection(('{FRONT}', 8443))
    for pair in ((near, far), (far, near)): threading.Thread(target=carry, args=pair, daemon=True).start()
"""


@contextmanager
def carried(guest: Guest, file: Path) -> Iterator[None]:
    """Copy the worker's list to the guest whenever it changes."""
    ended = threading.Event()

    def carry() -> None:
        last = b""
        while not ended.wait(0.5):
            if (now := file.read_bytes()) != last:
                guest.put(file, f"{PLACE}/hub.json", owner=ACCOUNT)
                last = now

    thread = threading.Thread(target=carry)
    thread.start()
    yield
    ended.set()
    thread.join()


@pytest.fixture
def net(tmp_path: Path, sandboxes: Callable[..., Sandbox], pytestconfig: pytest.Config) -> Iterator[Network]:
    """Return the network with a front-end that is ready; its hub has still to start."""
    edge_guest.require(pytestconfig)
    with network(tmp_path, sandboxes, IPV4) as made:
        assert made.hub is not None
        made.hub.kill()
        made.hub.wait()
        yield made


def test_nodes_meet_at_a_hub_with_the_kernels_wireguard(net: Network) -> None:
    """Front-ends have WireGuard in their kernel, and the hub's unit may do nothing but configure networks."""
    guest = Guest(net, "hub", "a", 50, build_initrd(net.folder, net.program))
    guest.start()
    settings = net.bundle.location / "etc/onext.yaml"
    settings.write_text(settings.read_text().replace(f"hub: {FRONT}:", f"hub: {guest.address}:"))
    net.bundle.onext("edge", "init")
    program = net.folder / "pass_on.py"
    program.write_text(PASS_ON)
    made = f"import os; os.makedirs('{PLACE}'); os.chown('{PLACE}', {ACCOUNT}, {ACCOUNT})"
    guest.run(f'python3 -c "{made}"')
    guest.put(program, f"{PLACE}/pass_on.py")
    guest.put(net.bundle.var / "edge/hub.key", f"{PLACE}/hub.key", owner=ACCOUNT)
    guest.keep("python3", f"{PLACE}/pass_on.py")
    guest.keep(" ".join(HUB.split()))
    with carried(guest, net.bundle.var / "run/edge/hub.json"):
        _nodes_meet(net)
        _is_the_kernels(guest)


def _nodes_meet(net: Network) -> None:
    """Join, reach each other's ports through the hub, and be cut off."""
    token = net.token("--name", "*", "--uses", "2")
    a1, a2 = net.node("a1", "a", 10), net.node("a2", "a", 11)
    for node in (a1, a2):
        assert "the host is MONITORED" in node.join(token).stdout
    for port in (49152, 8080):
        listen(a2, port)
    until(lambda: reaches(a1, a2.address, 49152), "a migration port through the hub", EMULATION)
    assert not reaches(a1, a2.address, 8080), "the hub's rules"
    net.bundle.onext("edge", "revoke", "a2")
    until(lambda: not reaches(a1, a2.address, 49152), "a2 is cut off", EMULATION)
    assert reaches(a1, net.hub_address, 8443), "a1 is not"


def _is_the_kernels(guest: Guest) -> None:
    assert "wireguard" in guest.run("ip", "-d", "link", "show", "onext-edge")
    forwarding = guest.run(
        "read -r own </proc/sys/net/ipv4/conf/onext-edge/forwarding; read -r all </proc/sys/net/ipv4/ip_forward; echo $own $all"
    )
    assert forwarding == "1 0", "only the hub's interface passes packets on"
    script = (
        'for file in /proc/[0-9]*/status; do while read -r key value rest; do case "$key" in'
        ' Name:) name=$value;; Uid:) uid=$value;; CapEff:) echo "$name $uid $value";; esac; done <$file; done'
    )
    accounts = [line.split() for line in guest.run(script).splitlines()]
    assert ["python3", str(ACCOUNT), f"{1 << 12:016x}"] in [[n[:7], u, c] for n, u, c in accounts]
    assert "wireguard-go" not in {name for name, _, _ in accounts}
