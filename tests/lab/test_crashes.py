"""Things die in mid-stream: the VM runs on exactly one side each time, and nothing is left on either end."""

import contextlib
import os
import re
import signal
import subprocess
import time
from pathlib import Path

import pytest

from tests.lab.conftest import OpenLab
from tests.lab.laboratory import Laboratory, Network
from tests.lab.node import Node, until
from tests.lab.scenario import finish, leftovers, migrate, runs_on, start, ticking
from tests.lab.vm import VM

# MiB/s: a stream of half a minute, unless `hurry` ends it
SLOW = 'BANDWIDTH="2"\nDEAD_TUNNEL="6"\nNO_PROGRESS="20"\n'


RELAYED = Network(delay_us=100)


def in_mid_stream(vm: VM, node: Node) -> bool:
    """Tell whether some of the VM's memory has gone its way."""
    done = node.run("virsh", "-c", "qemu:///system", "domjobinfo", vm.name, check=False)
    processed = re.search(r"Data processed: +([0-9.]+) MiB", done.stdout)
    return bool(processed and float(processed.group(1)) > 1)


def hurry(vm: VM, node: Node) -> None:
    """Let a slow stream come to its end, if it still runs."""
    node.virsh("migrate-setspeed", vm.name, "1000", check=False)


def start_slow(lab: Laboratory, vm: VM, conf: str = SLOW) -> "subprocess.Popen[bytes]":
    """Start a migration from a to b and wait until it is in mid-stream."""
    for node in lab.nodes:
        node.configure(conf=conf)
    process = start(vm, lab.a, lab.b)
    until(lambda: in_mid_stream(vm, lab.a), "the stream runs")
    return process


def whole(lab: Laboratory, vm: VM) -> str:
    """Check that the VM runs on exactly one side with nothing left behind; return where."""
    until(lambda: not leftovers(lab), f"{leftovers(lab)}")
    where = runs_on(lab, vm)
    assert len(where) == 1, where
    node = next(one for one in lab.nodes if one.name == where[0])
    assert node.state(vm.name) == "running"
    assert ticking(vm)
    return where[0]


def driver_of(node: Node) -> list[int]:
    """Return the pid of the driver itself: the eldest of its processes (its child holds the near end)."""
    ours = node.processes(r"from onext_migrate.main import main.* migrate one-1 ")
    return [pid for pid in ours if parent(pid) not in ours]


def replaced(node: Node, pattern: str) -> None:
    """Kill a process and wait until the driver has put another in its place."""
    killed = node.processes(pattern)
    assert killed
    for pid in killed:
        os.kill(pid, signal.SIGKILL)
    until(lambda: set(node.processes(pattern)) - set(killed), f"another {pattern}")


def parent(pid: int) -> int:
    """Return a process's parent."""
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    except OSError:
        return 0


@pytest.mark.timeout(2400)
def test_kill_nine_at_thirty_points(lab: Laboratory, vm: VM) -> None:
    """A driver that is killed left bridges on both ends and an orphan virsh that went on."""
    points, killed, missed = 30, 0, 0
    run = 60.0  # the shortest so far, in seconds: the points are spread over it
    here, there = lab.a, lab.b
    for point in range(-2, points):
        started = time.monotonic()
        process = start(vm, here, there)
        handed_over = True
        if point >= 0:
            time.sleep(run * point / points)
            drivers = driver_of(here)
            handed_over = here.state(vm.name) != "running"
            for pid in drivers:
                with contextlib.suppress(ProcessLookupError):  # it was quicker
                    os.kill(pid, signal.SIGKILL)
                    killed += 1
        result = finish(process)
        if result.done.exit_code == 0:
            run = min(run, time.monotonic() - started)
        where = whole(lab, vm)
        if where == there.name:
            missed += result.done.exit_code != 0 and not handed_over
            here, there = there, here
    assert killed >= points * 2 // 3
    # What still ran on the source when its driver died stays there, but for a hand-over in that very moment
    assert missed <= points // 10


def test_the_far_ends_ssh_is_killed(lab: Laboratory, vm: VM) -> None:
    """The tunnel is picked up again over a new connection; the stream does not even stop."""
    process = start_slow(lab, vm)
    replaced(lab.a, r"^ssh .*onext_migrate/run hold")
    hurry(vm, lab.a)
    result = finish(process)
    assert "connected again to the far end" in result.log
    assert result.done.exit_code == 0, result.log
    assert whole(lab, vm) == "lab-b"


def test_the_far_ends_helper_is_killed(lab: Laboratory, vm: VM) -> None:
    """What it held stays until its successor takes it away."""
    process = start_slow(lab, vm)
    replaced(lab.b, r"from onext_migrate.main import main.* hold")
    hurry(vm, lab.a)
    result = finish(process)
    assert result.done.exit_code == 0, result.log
    assert whole(lab, vm) == "lab-b"


@pytest.mark.parametrize("side", ["a", "b"])
def test_the_device_is_deleted_in_mid_stream(lab: Laboratory, vm: VM, side: str) -> None:
    """A hang without an end. The device is built again under the stream, or the migration ends and the VM stays."""
    process = start_slow(lab, vm)
    node = lab.a if side == "a" else lab.b
    (name,) = node.tunnels()
    node.run("ip", "link", "delete", name)
    until(lambda: node.tunnels() or process.poll() is not None, "the device is built again")
    hurry(vm, lab.a)
    result = finish(process)
    assert whole(lab, vm) == ("lab-a" if result.done.exit_code else "lab-b")


@pytest.mark.parametrize("ovs", [False, True])
def test_the_device_is_set_down_in_mid_stream(use_lab: OpenLab, ovs: bool) -> None:
    """It loses its address and its neighbour with that: a hang until the watchdog ends the migration."""
    lab = use_lab(Network(ovs=ovs))
    vm = lab.vm("one-1")
    lab.boot(vm, lab.a)
    process = start_slow(lab, vm)
    name = min(lab.b.tunnels(), key=lambda one: not one.startswith("oxt"))
    lab.b.run("ip", "link", "set", "dev", name, "down")
    up = lambda: "fe80::" in lab.b.run("ip", "-6", "address", "show", "dev", name).stdout  # noqa: E731
    until(up, "the device is raised again")
    hurry(vm, lab.a)
    result = finish(process)
    assert result.done.exit_code == 0, result.log
    assert whole(lab, vm) == "lab-b"


def test_the_ovs_port_is_deleted_in_mid_stream(use_lab: OpenLab) -> None:
    """The reference's second migration did that to its first."""
    lab = use_lab(Network(ovs=True))
    vm = lab.vm("one-1")
    lab.boot(vm, lab.a)
    process = start_slow(lab, vm)
    (name,) = [one for one in lab.b.tunnels() if one.startswith("oxt")]
    port = "oxp" + name[3:]
    lab.b.run("ovs-vsctl", "del-port", name, port)
    until(lambda: port in ports(lab.b, name) or process.poll() is not None, "the port is back")
    hurry(vm, lab.a)
    result = finish(process)
    assert whole(lab, vm) == ("lab-a" if result.done.exit_code else "lab-b")


def ports(node: Node, bridge: str) -> list[str]:
    """Return a bridge's ports."""
    return node.run("ovs-vsctl", "list-ports", bridge, check=False).stdout.split()


def test_a_stream_that_stands_still(lab: Laboratory, vm: VM) -> None:
    """The destination takes nothing more, in a tunnel that lives: a hang without an end, and no packet is missing."""
    process = start_slow(lab, vm, 'BANDWIDTH="2"\nDEAD_TUNNEL="60"\nNO_PROGRESS="6"\n')
    (pid,) = lab.b.processes(r"^/usr/bin/qemu-system-x86_64 .*guest=one-1")
    os.kill(pid, signal.SIGSTOP)
    assert process.stderr is not None
    said = next(line for line in process.stderr if b"ERROR" in line).decode()
    os.kill(pid, signal.SIGCONT)  # else libvirt waits for it, and its VM stays
    result = finish(process)
    assert re.search(r"no progress for \d+ s: the migration is ended", said), said + result.log
    assert result.done.exit_code != 0
    assert whole(lab, vm) == "lab-a"


def test_a_tunnel_that_stays_dead(use_lab: OpenLab) -> None:
    """A hang without an end; the watchdog ends the job, and the VM stays on the source."""
    lab = use_lab(RELAYED)
    vm = lab.vm("one-1")
    lab.boot(vm, lab.a)
    process = start_slow(lab, vm, 'BANDWIDTH="2"\nDEAD_TUNNEL="6"\nNO_PROGRESS="90"\n')
    lab.lose_vxlan(lost=True)
    try:
        result = finish(process)
    finally:
        lab.lose_vxlan(lost=False)
    assert result.done.exit_code != 0
    assert re.search(r"nothing came through the tunnel for \d+ s: the migration is ended", result.log), (
        result.log
    )
    assert whole(lab, vm) == "lab-a"


def test_never_in_post_copy(use_lab: OpenLab) -> None:
    """Half of the VM's memory is on either side: a dead tunnel is waited for, an abort would be the VM's end."""
    lab = use_lab(RELAYED)
    vm = lab.vm("one-1")
    lab.boot(vm, lab.a)
    conf = 'BANDWIDTH="2"\nPOSTCOPY_AFTER="300"\nDEAD_TUNNEL="3"\nNO_PROGRESS="5"\n'
    for node in lab.nodes:
        node.configure(conf=conf, kvmrc='MIGRATE_OPTIONS="--postcopy-bandwidth 2"\n')
    process = start(vm, lab.a, lab.b)
    until(lambda: in_mid_stream(vm, lab.a), "the stream runs")
    lab.a.virsh("migrate-postcopy", vm.name)
    until(lambda: "post-copy" in lab.a.virsh("domstate", "--reason", vm.name), "post-copy")
    lab.lose_vxlan(lost=True)
    try:
        with pytest.raises(subprocess.TimeoutExpired):  # four times as long as in pre-copy
            process.wait(12)
    finally:
        lab.lose_vxlan(lost=False)
    lab.a.virsh("migrate-setspeed", vm.name, "1000", "--postcopy", check=False)
    result = finish(process)
    assert result.done.exit_code == 0, result.log
    assert "the migration is ended" not in result.log
    assert whole(lab, vm) == "lab-b"


def test_destination_without_libvirt(lab: Laboratory, vm: VM) -> None:
    """A destination that cannot take VMs must cost nothing but an error."""
    lab.b.stop_libvirt()
    try:
        result = migrate(vm, lab.a, lab.b)
    finally:
        lab.b.start_libvirt()
    assert result.done.exit_code == 1
    assert whole(lab, vm) == "lab-a"


def test_destination_dies_in_mid_stream(lab: Laboratory, vm: VM) -> None:
    """The destination's libvirtd is killed while the memory arrives."""
    process = start_slow(lab, vm)
    for pid in lab.b.processes(r"^/usr/sbin/libvirtd"):
        os.kill(pid, signal.SIGKILL)
    hurry(vm, lab.a)  # it may be at its end that the source notices
    result = finish(process)
    lab.b.start_libvirt()
    assert result.done.exit_code != 0
    assert whole(lab, vm) == "lab-a"


def test_destination_out_of_space(lab: Laboratory) -> None:
    """A copy of local disks that does not fit ends with the VM, and its disk, where they were."""
    disk = "/var/lib/one/datastores/0/1/disk.0"
    vm = lab.vm("one-1", disk=disk)
    lab.a.marked_disk(disk, vm.marker)
    lab.boot(vm, lab.a)
    lab.b.sh(
        "mkdir -p /var/lib/one/datastores && mount -t tmpfs -o size=4m,mode=777 tmpfs /var/lib/one/datastores"
    )
    try:
        result = migrate(vm, lab.a, lab.b)
    finally:
        lab.b.sh("umount /var/lib/one/datastores")
    assert result.done.exit_code != 0
    assert whole(lab, vm) == "lab-a"
    assert lab.a.disk_markers(disk, vm.marker) > 1000


def test_A2_opennebulas_script_is_killed(lab: Laboratory, vm: VM) -> None:
    """Its virsh went on alone: "stays on A" was reported, and then the VM moved to B."""
    process = start_slow(lab, vm)
    for pid in lab.a.processes(r"^[^ ]*(ruby|bash) [^ ]*migrate_default "):
        os.kill(pid, signal.SIGKILL)
    hurry(vm, lab.a)
    result = finish(process)
    assert result.done.exit_code == (0 if whole(lab, vm) == "lab-b" else 1), result.log


def test_told_to_end(lab: Laboratory, vm: VM) -> None:
    """A driver that is terminated in the orderly way ends the migration first."""
    process = start_slow(lab, vm)
    for pid in driver_of(lab.a):
        os.kill(pid, signal.SIGTERM)
    result = finish(process)
    assert result.done.exit_code != 0
    assert "the driver was terminated" in result.log
    assert whole(lab, vm) == "lab-a"
