"""Ways in which a VM, or the data of its disks, was lost: each ends with the VM on one host, complete."""

import contextlib
import os
import random
import signal
import subprocess
import time
from collections.abc import Iterator

import pytest

from tests.lab.conftest import OpenLab
from tests.lab.laboratory import Laboratory, Network
from tests.lab.node import STOCK, Node, until
from tests.lab.replaced import replaced
from tests.lab.scenario import action_xml, finish, leftovers, migrate, runs_on, start, ticking
from tests.lab.test_crashes import driver_of, in_mid_stream, whole
from tests.lab.vm import VM

DISK = "/var/lib/one/datastores/0/1/disk.0"
KILL_SELF = "kill -9 $$"
KILL_WRAPPER_TOO = "kill -9 $PPID $$"


def configure(lab: Laboratory, conf: str = "", kvmrc: str = "") -> None:
    """Configure both nodes alike."""
    for node in lab.nodes:
        node.configure(conf, kvmrc)


def per_vm_options() -> bool:
    """Tell whether this release's script takes options from the VM's template."""
    return STOCK is None or any("MIGRATE_COMPRESSED" in path.read_text() for path in STOCK.rglob("migrate"))


@pytest.fixture
def with_disk(lab: Laboratory) -> VM:
    """Return a VM on node a whose disk is there, too, and has a snapshot."""
    vm = lab.vm("one-1", disk=DISK)
    lab.a.marked_disk(DISK, vm.marker)
    subprocess.run(["qemu-img", "snapshot", "-c", "before", str(lab.a.on_host(DISK))], check=True)
    lab.boot(vm, lab.a)
    return vm


def snapshots(lab: Laboratory, node: str) -> str:
    """Return the names of the disk's snapshots on a node, "no disk" without one."""
    (one,) = [one for one in lab.nodes if one.name == node]
    path = one.on_host(DISK)
    if not path.exists():
        return "no disk"
    words = ["qemu-img", "snapshot", "--force-share", "-l", str(path)]
    return subprocess.run(words, check=True, capture_output=True, text=True).stdout


def test_A1_parallel_with_postcopy(lab: Laboratory, vm: VM) -> None:
    """4 of 4 VMs were gone from both hosts: QEMU on the destination aborts, and virsh reports success."""
    configure(lab, kvmrc='MIGRATE_OPTIONS="--parallel --parallel-connections 2 --postcopy"\n')
    refused = migrate(vm, lab.a, lab.b)
    assert refused.done.exit_code == 1
    assert "--parallel and --postcopy lose the VM" in refused.log
    assert whole(lab, vm) == "lab-a"
    configure(lab, 'PARALLEL="2"\n', kvmrc='MIGRATE_OPTIONS="--postcopy --bandwidth 10"\n')
    dropped = migrate(vm, lab.a, lab.b)
    assert dropped.done.exit_code == 0, dropped.log
    assert "--parallel of onext-migrate.conf is dropped" in dropped.log
    assert whole(lab, vm) == "lab-b"
    configure(lab, 'PARALLEL="2"\nPOSTCOPY_AFTER="1"\nBANDWIDTH="10"\n')
    back = migrate(vm, lab.b, lab.a)
    assert "PARALLEL and POSTCOPY_AFTER together lose the VM" in back.log
    assert whole(lab, vm) in ("lab-a", "lab-b")


@pytest.mark.parametrize("local", [False, True], ids=["shared", "local"])
@pytest.mark.parametrize("end", [KILL_SELF, KILL_WRAPPER_TOO, "exit 1"], ids=["virsh", "wrapper", "exit1"])
def test_A2_virsh_dies_when_the_vm_has_arrived(use_lab: OpenLab, end: str, local: bool) -> None:
    """OpenNebula's script destroyed it on the destination and deleted its folder: on neither host."""
    lab = use_lab(Network())
    vm = lab.vm("one-1", disk=DISK if local else "")
    if local:
        lab.a.marked_disk(DISK, vm.marker)
    lab.boot(vm, lab.a)
    script = f'[[ " $* " == *" migrate "* ]] || exec /run/real/virsh "$@"\n/run/real/virsh "$@"; {end}\n'
    with replaced(lab.a, "virsh", script):
        result = migrate(vm, lab.a, lab.b)
    assert result.done.exit_code == 0, result.log
    assert whole(lab, vm) == "lab-b"
    if local:
        assert lab.b.disk_markers(DISK, vm.marker) > 1000


def kill_virsh(node: Node, driver: "subprocess.Popen[bytes]", after: float) -> int:
    """Kill virsh some seconds after it began to migrate; return how many were killed."""
    until(lambda: node.processes(r"^virsh .* migrate ") or driver.poll() is not None, "virsh")
    time.sleep(after)
    pids = list(node.processes(r"^virsh .* migrate "))
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    return len(pids)


def test_A2_virsh_is_killed_at_any_moment(lab: Laboratory, vm: VM, request: pytest.FixtureRequest) -> None:
    """Whatever virsh had done by then: the VM runs on one host, and the exit code tells which."""
    here, there = lab.a, lab.b
    configure(lab, 'BANDWIDTH="60"\n')
    chance = random.Random(7)
    killed = 0
    times = 10 if request.config.getoption("--lab") == "all" else 4
    for _ in range(times):
        process = start(vm, here, there)
        killed += kill_virsh(here, process, chance.uniform(0, 2.5))
        result = finish(process)
        where = whole(lab, vm)
        assert (where == there.name) == (result.done.exit_code == 0), result.log
        if where == there.name:
            here, there = there, here
    assert killed >= times // 3


def test_A3_the_copy_of_snapshots_fails(lab: Laboratory, with_disk: VM) -> None:
    """Exit code 0 made OpenNebula delete the source's folder with the only snapshot."""
    script = '[[ "$*" == *disk.0* ]] && exit 12\nexec /run/real/rsync "$@"\n'
    with replaced(lab.a, "rsync", script):
        result = migrate(with_disk, lab.a, lab.b)
    assert result.done.exit_code == 1
    assert "its disks' snapshots were not copied: lab-a has the complete disks" in result.log
    assert runs_on(lab, with_disk) == ["lab-b"]
    assert "before" in snapshots(lab, "lab-a")
    assert leftovers(lab) == []


def test_A3_the_copy_of_snapshots_is_repeated(lab: Laboratory, with_disk: VM) -> None:
    """A moment of bad network leaves the VM paused on the destination."""
    script = (
        '[[ "$*" == *disk.0* && ! -e ~/failed ]] && touch ~/failed && exit 12\nexec /run/real/rsync "$@"\n'
    )
    with replaced(lab.a, "rsync", script):
        result = migrate(with_disk, lab.a, lab.b)
    (lab.a.folder / "home/failed").unlink()
    assert result.done.exit_code == 0, result.log
    assert whole(lab, with_disk) == "lab-b"
    assert "before" in snapshots(lab, "lab-b")


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_A3_the_driver_is_told_to_end_while_snapshots_are_copied(
    lab: Laboratory, with_disk: VM, number: signal.Signals
) -> None:
    """With kill -9 the driver left the VM paused; SIGTERM reported "stays on A", and returned 0 without the snapshot."""
    slow = '[[ "$*" == *disk.0* ]] && touch ~/copying && sleep 4\nexec /run/real/rsync "$@"\n'
    with replaced(lab.a, "rsync", slow):
        process = start(with_disk, lab.a, lab.b)
        until((lab.a.folder / "home/copying").exists, "the copy begins")
        for pid in driver_of(lab.a):
            os.kill(pid, number)
        result = finish(process)
        until(lambda: lab.b.state("one-1") == "running", "OpenNebula's script resumes the VM")
    (lab.a.folder / "home/copying").unlink()
    assert whole(lab, with_disk) == "lab-b"
    assert "before" in snapshots(lab, "lab-b")
    assert "stays on" not in result.log
    if number == signal.SIGTERM:
        assert result.done.exit_code == 0, result.log


def test_A4_a_vm_that_a_person_suspended_stays_suspended(lab: Laboratory, vm: VM) -> None:
    """It ran after the migration; OpenNebula alone leaves it as it was."""
    lab.a.virsh("suspend", vm.name)
    result = migrate(vm, lab.a, lab.b)
    assert result.done.exit_code == 0, result.log
    assert (lab.a.state(vm.name), lab.b.state(vm.name)) == ("absent", "paused")
    lab.b.virsh("resume", vm.name)
    assert ticking(vm)
    assert leftovers(lab) == []


def test_a_vm_of_this_name_on_the_destination(lab: Laboratory, vm: VM) -> None:
    """OpenNebula's script destroys it there, when virsh refuses to migrate: it may be the one that counts."""
    lab.boot(vm, lab.b)
    result = migrate(vm, lab.a, lab.b)
    assert result.done.exit_code == 1
    assert "lab-b has a VM one-1 already (running): not migrated" in result.log
    assert runs_on(lab, vm) == ["lab-a", "lab-b"]


@pytest.fixture
def slow_vm(lab: Laboratory, vm: VM) -> Iterator[VM]:
    """Return the VM with settings for a slow stream."""
    configure(lab, 'AUTO_CONVERGE="YES"\n')
    yield vm
    configure(lab)


@pytest.mark.parametrize(
    ("features", "kvmrc", "note"),
    [
        ("<MIGRATE_AUTO_CONVERGE>30,10</MIGRATE_AUTO_CONVERGE>", "--auto-converge", ""),
        ("<MIGRATE_COMPRESSED>YES</MIGRATE_COMPRESSED>", "--unsafe", ""),
        (
            "<MIGRATE_COMPRESSED>YES</MIGRATE_COMPRESSED>",
            "--parallel",
            "--compressed of the VM is dropped",
        ),
    ],
)
def test_B3_options_of_vms(lab: Laboratory, slow_vm: VM, features: str, kvmrc: str, note: str) -> None:
    """Together with AUTO_CONVERGE: "option already seen", and the migration failed."""
    if not per_vm_options():
        pytest.skip("this release has no migration options of VMs")
    for node in lab.nodes:
        node.configure('AUTO_CONVERGE="YES"\n', f'MIGRATE_OPTIONS="{kvmrc}"\n')
    result = migrate(slow_vm, lab.a, lab.b, xml=action_xml(slow_vm, features=features))
    assert result.done.exit_code == 0, result.log
    assert note in result.log
    assert whole(lab, slow_vm) == "lab-b"


def test_told_to_end_before_the_vm_has_left(lab: Laboratory, vm: VM) -> None:
    """The other side of it: in mid-stream the migration ends, and the VM stays."""
    configure(lab, 'BANDWIDTH="2"\n')
    process = start(vm, lab.a, lab.b)
    until(lambda: in_mid_stream(vm, lab.a), "the stream runs")
    for pid in driver_of(lab.a):
        os.kill(pid, signal.SIGTERM)
    result = finish(process)
    assert result.done.exit_code == 1
    assert "the VM stays on lab-a" in result.log
    assert whole(lab, vm) == "lab-a"
