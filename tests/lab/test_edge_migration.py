"""A running VM moves between two nodes behind two NATs: all of its memory through WireGuard."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.fixtures_sandbox import Sandbox
from tests.lab.capture import Capture
from tests.lab.edge_laboratory import EdgeLaboratory
from tests.lab.edge_network import IPV4, IPV6, network, why_not
from tests.lab.node import until
from tests.lab.readable import open_to_all
from tests.lab.scenario import leftovers, runs_on, ticking
from tests.lab.test_crashes import in_mid_stream
from tests.lab.vm import VM

pytestmark = [
    pytest.mark.timeout(600),
    pytest.mark.skipif(bool(why_not()) and not os.environ.get("CI"), reason=why_not() or "ready"),
]
STRICT = 'REQUIRE_ENCRYPTION="YES"\nREQUIRE_TUNNEL="YES"\n'


@pytest.fixture
def edge_lab(
    tmp_path: Path, sandboxes: Callable[..., Sandbox], vm_files: tuple[Path, Path], pool: str
) -> Iterator[EdgeLaboratory]:
    """Return two hypervisors that have joined, and settings that accept encrypted migrations only."""
    open_to_all(tmp_path)
    with network(tmp_path, sandboxes, pool) as net:
        (tmp_path / "lab").mkdir()
        made = EdgeLaboratory(tmp_path / "lab", net, *vm_files)
        try:
            made.up()
            for node in made.nodes:
                node.configure(conf=STRICT)
            yield made
        finally:
            made.down()


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Restart the hub's process, or lose its interface and all sessions too; addresses of both families."""
    if "lost" in metafunc.fixturenames:
        every = metafunc.config.getoption("--lab") == "all"
        cases = {"process": (False, IPV6), "interface": (True, IPV6), "ipv4": (False, IPV4)}
        chosen = list(cases) if every else ["process"]
        metafunc.parametrize(("lost", "pool"), [cases[name] for name in chosen], ids=chosen)


def test_all_memory_through_wireguard_while_the_hub_restarts(edge_lab: EdgeLaboratory, lost: bool) -> None:
    """An edge site's VM moved in the clear, or was lost with its hub."""
    lab = edge_lab
    vm = lab.vm("one-1")
    lab.boot(vm, lab.a)
    before = lab.sent(lab.a)
    with Capture(lab, vm.marker, "nata") as capture:
        result = lab.migrate(vm, lab.a, lab.b)
    assert result.done.exit_code == 0, result.log
    assert runs_on(lab, vm) == ["lab-b"]
    assert "tunnel onext-edge to lab-b up" in result.log
    assert re.search(r"\(wireguard-peers, MTU 1[234][0-9][0-9],", result.log)
    moved = re.search(r"([0-9.]+) MB of memory and disks went through the tunnel", result.log)
    assert moved, result.log
    megabytes = float(moved.group(1))
    assert megabytes > vm.fill
    assert lab.sent(lab.a) - before > megabytes * 1e6
    assert capture.bytes["wireguard"] > megabytes * 1e6
    assert set(capture.markers.values()) == {0}
    assert capture.bytes["ssh"] + capture.bytes["vxlan"] == 0
    assert capture.bytes["other"] < 200_000, capture.bytes
    assert leftovers(lab) == []
    _hub_restarts(lab, vm, lost=lost)
    _roams(lab, vm)


def _roams(lab: EdgeLaboratory, vm: VM) -> None:
    """Take the node with the running VM to the other site: the same host, and the VM can leave it."""
    for node in lab.nodes:
        node.configure(conf=STRICT)
        lab.serve(node)
    host = lab.net.listed()["lab-a"]["host"]
    time.sleep(3)  # the service looks at its addresses first
    lab.move(lab.a, "b")
    until(lambda: lab.ssh(lab.a, "true").exit_code == 0, "ssh from the other network")
    assert ticking(vm)
    assert lab.net.listed()["lab-a"]["host"] == host
    result = lab.migrate(vm, lab.a, lab.b)
    assert result.done.exit_code == 0, result.log
    assert "(wireguard-peers, " in result.log
    assert runs_on(lab, vm) == ["lab-b"]
    assert ticking(vm)
    assert leftovers(lab) == []


def _hub_restarts(lab: EdgeLaboratory, vm: VM, *, lost: bool) -> None:
    """Go back, and restart the hub in mid-stream."""
    for node in lab.nodes:
        node.configure(conf=STRICT + 'BANDWIDTH="2"\nNO_PROGRESS="90"\nDEAD_TUNNEL="60"\n')
    process = lab.start_migration(vm, lab.b, lab.a)
    until(lambda: in_mid_stream(vm, lab.b), "the stream runs")
    assert lab.net.hub is not None
    lab.net.hub.kill()
    lab.net.hub.wait()
    if lost:
        lab.net.front.run("ip", "link", "del", "onext-edge")
    lab.net.start_hub()
    assert ticking(vm)
    lab.b.virsh("migrate-setspeed", vm.name, "1000", check=False)
    result = lab.finish(process)
    assert result.done.exit_code == 0, result.log
    assert runs_on(lab, vm) == ["lab-a"]
    assert ticking(vm)
    assert leftovers(lab) == []
