"""DATAPATH=wireguard between hosts that are no peers: a pair that lives as long as the migration."""

import contextlib
import os
import shutil
import signal
import time

import pytest

from tests.lab.capture import Capture
from tests.lab.laboratory import Laboratory
from tests.lab.node import DRIVER, until
from tests.lab.scenario import finish, leftovers, migrate, runs_on, start, ticking
from tests.lab.test_crashes import SLOW, driver_of, in_mid_stream, whole
from tests.lab.vm import VM, ClockWatch

ENCRYPTED = 'DATAPATH="wireguard"\nREQUIRE_ENCRYPTION="YES"\nREQUIRE_TUNNEL="YES"\n'


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Kill one thing, or each."""
    if "who" in metafunc.fixturenames:
        everything = ["driver", "far helper", "wireguard-go", "everything"]
        quick = metafunc.config.getoption("--lab") != "all"
        metafunc.parametrize("who", everything[:1] if quick else everything)


def prepare(lab: Laboratory, conf: str = ENCRYPTED) -> None:
    """Give both nodes the driver's own rules for sudo, and the settings."""
    for node in lab.nodes:
        rules = node.folder / "etc/sudoers.d/onext-migrate"
        shutil.copy(DRIVER / "onext_migrate/sudoers", rules)
        rules.chmod(0o440)
        node.configure(conf=conf)


@pytest.fixture(autouse=True)
def stock_rules_afterwards(lab: Laboratory) -> object:
    """Take the rules away again: other tests show that the stock ones are enough."""
    yield
    for node in lab.nodes:
        (node.folder / "etc/sudoers.d/onext-migrate").unlink(missing_ok=True)


def test_there_and_back_with_nothing_in_the_clear(lab: Laboratory, vm: VM) -> None:
    """Who requires encryption has nothing on the wire but WireGuard and ssh, and nothing on the hosts afterwards."""
    prepare(lab)
    for source, destination in ((lab.a, lab.b), (lab.b, lab.a)):
        with Capture(lab, vm.marker) as capture, ClockWatch(vm):
            result = migrate(vm, source, destination)
        assert result.done.exit_code == 0, result.log
        assert "(wireguard, MTU 1440" in result.log
        assert "went through the tunnel" in result.log
        assert runs_on(lab, vm) == [destination.name]
        assert capture.bytes["wireguard"] > vm.fill * 1_000_000
        assert set(capture.markers.values()) == {0}
        assert capture.bytes["other"] < 100_000, capture.bytes
        assert capture.bytes["vxlan"] == 0
        assert leftovers(lab) == []
    assert ticking(vm)


def test_without_the_rules_nothing_is_migrated(lab: Laboratory, vm: VM) -> None:
    """A node without the file of rules refuses with the file's name, and not in the clear."""
    for node in lab.nodes:
        node.configure(conf='REQUIRE_ENCRYPTION="YES"\n')
    result = migrate(vm, lab.a, lab.b)
    assert result.done.exit_code == 1
    assert "onext_migrate/sudoers to /etc/sudoers.d" in result.log
    assert 'REQUIRE_ENCRYPTION="YES" and no WireGuard' in result.log
    assert runs_on(lab, vm) == ["lab-a"]
    assert leftovers(lab) == []


def test_killed_in_mid_stream(lab: Laboratory, vm: VM, who: str) -> None:
    """The keys die with the migration: whatever is killed, the VM is on one side and no device stays."""
    prepare(lab, ENCRYPTED + SLOW)
    process = start(vm, lab.a, lab.b)
    until(lambda: in_mid_stream(vm, lab.a), "the stream runs")
    patterns = {
        "far helper": r"main.* hold",
        "wireguard-go": r"wireguard-go oxt",
        "everything": r"main.* (hold|migrate one-1) ",
    }
    victims = driver_of(lab.a) if who == "driver" else []
    if who != "driver":
        nodes = lab.nodes if who == "everything" else (lab.b,)
        victims = [pid for node in nodes for pid in node.processes(patterns[who])]
    assert victims
    for pid in victims:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    if who == "far helper":
        time.sleep(3)
        lab.a.virsh("migrate-setspeed", vm.name, "1000", check=False)
    result = finish(process)
    if who == "far helper":
        assert result.done.exit_code == 0, result.log
    if who == "everything":  # nobody is left to clean up: the probe of the next monitoring does
        until(lambda: not any(node.processes(r"virsh.* migrate ") for node in lab.nodes), "virsh ends")
        for node in lab.nodes:
            node.run("sh", "/var/tmp/one/im/kvm-probes.d/host/system/onext_tunnels.sh", user="oneadmin")
    where = whole(lab, vm)
    assert who == "everything" or where == ("lab-b" if who == "far helper" else "lab-a")
