"""The main job: a running VM moves there and back, and its memory is on the underlay in VXLAN only."""

import itertools

import pytest

from tests.lab.capture import Capture
from tests.lab.conftest import OpenLab
from tests.lab.laboratory import Network
from tests.lab.scenario import leftovers, migrate, runs_on
from tests.lab.vm import ClockWatch

ALL = list(itertools.product((False, True), (False, True), (1500, 1450), (False, True)))
# Every pair of values of two factors at least once
PAIRWISE = [
    (False, False, 1500, False),
    (False, True, 1450, True),
    (True, False, 1450, True),
    (True, True, 1500, True),
    (True, True, 1450, False),
]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Take all combinations, or enough of them."""
    if "combination" in metafunc.fixturenames:
        chosen = ALL if metafunc.config.getoption("--lab") == "all" else PAIRWISE
        names = [
            "-".join((("kernel", "ovs")[o], ("ipv4", "ipv6")[s], str(m), ("shared", "local")[d]))
            for o, s, m, d in chosen
        ]
        metafunc.parametrize("combination", chosen, ids=names)


def test_there_and_back(combination: tuple[bool, bool, int, bool], use_lab: OpenLab) -> None:
    """Without it a VM's memory and disks may cross the underlay in the clear, as the reference's do."""
    ovs, ipv6, mtu, local = combination
    lab = use_lab(Network(ovs=ovs, mtu=mtu))
    for node in lab.nodes:
        node.configure(conf='ON_TUNNEL_FAILURE="refuse"\n')
    disk = "/var/lib/one/datastores/0/1/disk.0" if local else ""
    vm = lab.vm("one-1", disk=disk)
    if local:
        lab.a.marked_disk(disk, vm.marker)
    lab.boot(vm, lab.a)
    for source, destination in ((lab.a, lab.b), (lab.b, lab.a)):
        name = destination.name + ("-six" if ipv6 else "")
        with Capture(lab, vm.marker) as capture, ClockWatch(vm) as clock:
            result = migrate(vm, source, destination, name=name)
        assert result.done.exit_code == 0, result.log
        assert runs_on(lab, vm) == [destination.name]
        assert "went through the tunnel" in result.log
        assert ("(ovs, MTU" if ovs else "(kernel, MTU") in result.log
        assert capture.markers["vxlan"] > 1000, "the capture saw the VM's memory"
        assert capture.markers["other"] == capture.markers["ssh"] == 0
        assert capture.bytes["other"] < 100_000, capture.bytes
        assert capture.largest == mtu, "full-size packets, none larger"
        # The VM's clock was stopped for at least what was reported; how much longer depends on the machine
        assert result.downtime < clock.longest + clock.blind + 0.5, result.log
        assert leftovers(lab) == []
        if local:
            assert destination.disk_markers(disk, vm.marker) > 1000
            source.remove_disk(disk)
