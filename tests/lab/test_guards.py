"""Guards that failed open, or for the wrong reason: what must go through a tunnel does, or does not go."""

import os
import re
import signal

import pytest

from tests.lab.capture import Capture
from tests.lab.certificates import issue
from tests.lab.conftest import OpenLab
from tests.lab.laboratory import Laboratory, Network
from tests.lab.node import PATIENCE, STOCK, until
from tests.lab.scenario import action_xml, finish, leftovers, migrate, runs_on, start, ticking
from tests.lab.test_crashes import hurry, parent, start_slow, whole
from tests.lab.test_lost_vms import DISK, configure
from tests.lab.vm import VM

REQUIRED = 'REQUIRE_TUNNEL="YES"\n'
RUN = "/var/tmp/one/vmm/kvm/onext_migrate/run"


@pytest.mark.parametrize("fault", ["no driver", "PATH in kvmrc", "by path", "no python"])
def test_B1_required_is_required(lab: Laboratory, vm: VM, fault: str) -> None:
    """Exit code 0, and 35,000 markers of the VM's memory on the wire in the clear."""
    kvmrc = "export PATH=/usr/bin:/bin\n" if fault == "PATH in kvmrc" else ""
    configure(lab, REQUIRED, kvmrc)
    if fault == "no driver":
        lab.a.run("rm", "-rf", "/var/tmp/one/vmm/kvm/onext_migrate")
    elif fault == "by path":
        lab.a.call_virsh_by_path()
    elif fault == "no python":
        lab.a.sh("sed -i 's/python3 /python-absent /; s/platform-python/absent/' " + RUN)
    with Capture(lab, vm.marker) as capture:
        result = migrate(vm, lab.a, lab.b)
    assert result.done.exit_code == 1, result.log
    assert "ERROR" in result.log
    assert whole(lab, vm) == "lab-a"
    assert not any(capture.markers.values()), capture.markers


def test_B2_a_folder_of_another_account(lab: Laboratory, vm: VM) -> None:
    """Root's folder of locks: oneadmin's migrations went in the clear."""
    lab.a.sh("rm -rf /var/tmp/onext-migrate; mkdir -m 700 /var/tmp/onext-migrate")
    try:
        with Capture(lab, vm.marker) as capture:
            result = migrate(vm, lab.a, lab.b)
    finally:
        lab.a.sh("rm -rf /var/tmp/onext-migrate")
    assert result.done.exit_code == 1
    assert "remove it as root on lab-a" in result.log
    assert whole(lab, vm) == "lab-a"
    assert capture.markers["other"] == 0


def test_B2_root_works_as_oneadmin(lab: Laboratory, vm: VM) -> None:
    """A person ran the check as root: its folder blocked every migration afterwards."""
    lab.a.sh("rm -rf /var/tmp/onext-migrate")
    lab.a.run("sh", RUN, "check", "lab-b")
    lab.a.run("sh", RUN, "list")
    result = migrate(vm, lab.a, lab.b)
    assert result.done.exit_code == 0, result.log
    assert "went through the tunnel" in result.log


def test_B3_postcopy_with_local_disks(lab: Laboratory) -> None:
    """OpenNebula adds --suspend for them, which excludes post-copy: every migration failed."""
    vm = lab.vm("one-1", disk=DISK)
    lab.a.marked_disk(DISK, vm.marker)
    lab.boot(vm, lab.a)
    configure(lab, 'POSTCOPY_AFTER="1"\n')
    result = migrate(vm, lab.a, lab.b)
    assert result.done.exit_code == 0, result.log
    assert "--postcopy of onext-migrate.conf is dropped" in result.log
    assert whole(lab, vm) == "lab-b"


def test_B3_tunnelled_in_kvmrc(lab: Laboratory, vm: VM) -> None:
    """It excludes --migrateuri: every migration failed."""
    configure(lab, REQUIRED, 'MIGRATE_OPTIONS="--p2p --tunnelled"\n')
    with Capture(lab, vm.marker) as capture:
        result = migrate(vm, lab.a, lab.b)
    assert result.done.exit_code == 0, result.log
    assert "--tunnelled of kvmrc is dropped" in result.log
    assert capture.markers["vxlan"] > 1000
    assert capture.markers["other"] == 0
    assert whole(lab, vm) == "lab-b"


# Each line of onext-migrate.conf and kvmrc with the others that it is allowed beside
COMBINATIONS = {
    "parallel": ('AUTO_CONVERGE="YES"\nBANDWIDTH="100"\nPARALLEL="2"\n', "--unsafe", False),
    "postcopy": ('AUTO_CONVERGE="YES"\nBANDWIDTH="10"\nPOSTCOPY_AFTER="1"\n', "--unsafe", False),
    "compressed": ('BANDWIDTH="10"\nPOSTCOPY_AFTER="1"\n', "--compressed --auto-converge", False),
    "parallel-tls": ('PARALLEL="2"\nTLS="YES"\n', "--auto-converge", False),
    "postcopy-tls": ('POSTCOPY_AFTER="1"\nBANDWIDTH="10"\nTLS="YES"\n', "--compressed", False),
    "local": ('AUTO_CONVERGE="YES"\nPARALLEL="2"\n', "--unsafe", True),
    "local-tls": ('BANDWIDTH="100"\nTLS="YES"\n', "--compressed --auto-converge", True),
}


@pytest.mark.parametrize("name", COMBINATIONS)
def test_A1_all_that_may_be_combined(lab: Laboratory, name: str) -> None:
    """A combination that was never tried is one that may lose VMs."""
    conf, kvmrc, local = COMBINATIONS[name]
    if "TLS" in conf:
        for node in lab.nodes:
            issue(lab.folder / "ca", node.name, node.folder / "etc/pki/qemu")
            node.stop_libvirt()
            node.start_libvirt()
    vm = lab.vm("one-1", disk=DISK if local else "")
    if local:
        lab.a.marked_disk(DISK, vm.marker)
    lab.boot(vm, lab.a)
    configure(lab, conf, f'MIGRATE_OPTIONS="{kvmrc}"\n')
    result = migrate(vm, lab.a, lab.b)
    assert result.done.exit_code == 0, result.log
    assert "dropped" not in result.log
    assert whole(lab, vm) == "lab-b"


def test_B4_postcopy_logs_no_error(lab: Laboratory, vm: VM) -> None:
    """Every post-copy run logged "ERROR … no counters"."""
    configure(lab, 'POSTCOPY_AFTER="1"\nBANDWIDTH="10"\n')
    result = migrate(vm, lab.a, lab.b)
    assert result.done.exit_code == 0, result.log
    assert "post-copy after 1 s" in result.log
    assert "ERROR" not in result.log
    assert re.search(r"(at least )?\d+\.\d MB of memory and disks went through the tunnel", result.log)


def test_B4_each_log_has_its_own_figure(lab: Laboratory, vm: VM) -> None:
    """Three at once: 359 MB for 119."""
    other = lab.vm("one-2", fill=8)
    lab.boot(other, lab.a)
    configure(lab, 'BANDWIDTH="20"\n')
    results = [finish(process) for process in [start(one, lab.a, lab.b) for one in (vm, other)]]
    figures = [float(re.findall(r"(\d+\.\d) MB of memory", one.log)[0]) for one in results]
    assert figures[0] > figures[1] + 20, figures
    assert leftovers(lab) == []


def test_B5_the_first_address_is_unreachable(lab: Laboratory, vm: VM) -> None:
    """No tunnel, and the UDP port was blamed."""
    hosts, known = lab.a.folder / "etc/hosts", lab.a.folder / "home/.ssh/known_hosts"
    before = hosts.read_text(), known.read_text()
    hosts.write_text(before[0] + "10.99.0.3 lab-two\n10.99.0.2 lab-two\n")
    known.write_text(before[1] + f"lab-two,10.99.0.2 {lab.b.host_key}\n")
    configure(lab, REQUIRED)
    try:
        result = migrate(vm, lab.a, lab.b, name="lab-two")
    finally:
        hosts.write_text(before[0])
        known.write_text(before[1])
    assert result.done.exit_code == 0, result.log
    assert "no tunnel to 10.99.0.3" in result.log
    assert "went through the tunnel" in result.log


@pytest.mark.parametrize("user", ["program", "external VXLAN"])
def test_B5_the_port_is_used_by_something_else(lab: Laboratory, vm: VM, user: str) -> None:
    """The message did not name the setting."""
    configure(lab, REQUIRED)
    if user == "program":
        code = "import socket, time; s = socket.socket(2, 2); s.bind(('', 4790)); print(1, flush=True); time.sleep(99)"
        lab.b.sh(
            f'python3 -c "{code}" </dev/null >/run/bound 2>&1 & until [ -s /run/bound ]; do sleep 0.1; done'
        )
    else:
        lab.b.sh("ip link add ext0 type vxlan external dstport 4790 && ip link set ext0 up")
    try:
        result = migrate(vm, lab.a, lab.b)
    finally:
        lab.b.sh("ip link delete ext0 2>/dev/null; rm -f /run/bound", check=False)
        for pid in lab.b.processes(r"s\.bind"):
            os.kill(pid, signal.SIGKILL)
    assert result.done.exit_code == 1
    assert "KERNEL_PORT" in result.log
    assert "lab-b" in result.log
    assert whole(lab, vm) == "lab-a"


def test_B5_the_destinations_libvirt_is_frozen(lab: Laboratory, vm: VM) -> None:
    """Silent for 200 s: the watchdog waited for a job that never began."""
    frozen = lab.b.processes(r"^/usr/sbin/libvirtd")
    for pid in frozen:
        os.kill(pid, signal.SIGSTOP)
    try:
        result = migrate(vm, lab.a, lab.b)
    finally:
        for pid in frozen:
            os.kill(pid, signal.SIGCONT)
    assert result.done.exit_code == 1
    assert "libvirt on lab-b does not answer" in result.log
    assert whole(lab, vm) == "lab-a"


def test_B5_libvirt_freezes_when_virsh_begins(lab: Laboratory, vm: VM) -> None:
    """It answered before, and virsh hangs in connecting to it: no job, so nothing was watched."""
    configure(lab, 'NO_PROGRESS="5"\n')
    stock = lab.a.stock
    first = "set -u\n" if "set -u" in stock.read_text() else "load_remote_env\n"
    wait = "until [ -e ~/go ]; do sleep 0.1; done\n"
    command = wait if first == "set -u\n" else "sleep 0.1 until File.exist?('/var/lib/one/go')\n"
    stock.write_text(stock.read_text().replace(first, first + command, 1))
    frozen = lab.b.processes(r"^/usr/sbin/libvirtd")
    process = start(vm, lab.a, lab.b)
    try:
        until(lambda: lab.a.processes(r"migrate_default"), "OpenNebula's script")
        for pid in frozen:
            os.kill(pid, signal.SIGSTOP)
        (lab.a.folder / "home/go").touch()
        assert process.stderr is not None
        said = next(line for line in process.stderr if b"ERROR" in line).decode()
    finally:
        for pid in frozen:
            os.kill(pid, signal.SIGCONT)
        (lab.a.folder / "home/go").unlink()
    result = finish(process)
    assert "no migration job for" in said
    assert result.done.exit_code == 1
    assert whole(lab, vm) == "lab-a"


def test_B5_the_source_host_dies(lab: Laboratory, vm: VM) -> None:
    """The helper and its device stayed on the destination without an end, and were shown as in use."""
    process = start_slow(lab, vm)
    lab.cut(lab.a, off=True)
    try:
        for pid in lab.a.processes(r"onext_migrate|migrate_default|^virsh|^ssh "):
            os.kill(pid, signal.SIGKILL)
        finish(process)
        until(
            lambda: not lab.b.tunnels() and not lab.b.processes("onext_migrate"), "b cleans up", 2 * PATIENCE
        )
    finally:
        lab.cut(lab.a, off=False)


def test_B5_both_helpers_are_killed(lab: Laboratory, vm: VM) -> None:
    """The destination's device stayed."""
    process = start_slow(lab, vm)
    helpers = {**lab.b.processes(r"onext_migrate.main import main.* hold")}
    ours = lab.a.processes(r"from onext_migrate.main import main.* migrate one-1 ")
    helpers.update({pid: "" for pid in ours if parent(pid) in ours})
    assert len(helpers) == 2
    for pid in helpers:
        os.kill(pid, signal.SIGKILL)
    assert process.stderr is not None
    for line in process.stderr:
        if b"connected again" in line:
            break
    hurry(vm, lab.a)
    result = finish(process)
    assert result.done.exit_code == 0, result.log
    assert whole(lab, vm) == "lab-b"


def moves_disks(lab: Laboratory) -> bool:
    """Tell whether the script moves disks to another datastore: since OpenNebula 7.2, and our stand-in."""
    return STOCK is None or "blockcopy" in lab.a.stock.with_name("opennebula_vm.rb").read_text()


def test_a_move_between_datastores_needs_no_tunnel(use_lab: OpenLab) -> None:
    """Since OpenNebula 7.2 the same script moves disks on one host: it is its own business, whatever is set."""
    lab = use_lab(Network())
    configure(lab, REQUIRED, "export PATH=/usr/bin:/bin\n")
    vm = lab.vm("one-1")
    lab.boot(vm, lab.a)
    lab.a.stock.write_text('#!/bin/sh\necho "called: $*" >&2; cat >/dev/null\n')
    result = migrate(vm, lab.a, lab.a)
    assert result.done.exit_code == 0
    assert result.log == "called: one-1 lab-a lab-a 1 lab-a\n"
    assert runs_on(lab, vm) == ["lab-a"]


def test_a_real_move_between_datastores(lab: Laboratory) -> None:
    """The same with a release's own script: the disk is copied on its host, and nothing of ours is in the way."""
    if STOCK is None or not moves_disks(lab):
        pytest.skip("ONEXT_LAB_MIGRATE does not name the scripts of OpenNebula 7.2 or later")
    configure(lab, REQUIRED)
    vm = lab.vm("one-1", disk=DISK)
    lab.a.marked_disk(DISK, vm.marker)
    lab.boot(vm, lab.a)
    result = migrate(vm, lab.a, lab.a, xml=action_xml(vm, datastore="100"))
    assert result.done.exit_code == 0, result.log
    assert "migrate: " not in result.log
    assert "datastores/100/1/disk.0" in lab.a.virsh("domblklist", vm.name)
    assert ticking(vm)


def test_a_move_between_datastores_of_two_hosts(lab: Laboratory) -> None:
    """With another host as well the memory is sent, and goes through the tunnel."""
    configure(lab, REQUIRED)
    vm = lab.vm("one-1", disk=DISK)
    lab.a.marked_disk(DISK, vm.marker)
    lab.boot(vm, lab.a)
    with Capture(lab, vm.marker) as capture:
        result = migrate(vm, lab.a, lab.b, xml=action_xml(vm, datastore="100"))
    if not moves_disks(lab):
        assert result.done.exit_code == 1
        assert "not migrated: the VM stays on lab-a" in result.log
        assert capture.markers["other"] == 0
        assert whole(lab, vm) == "lab-a"
        return
    assert result.done.exit_code == 0, result.log
    assert "went through the tunnel" in result.log
    assert capture.markers["other"] == 0
    assert whole(lab, vm) == "lab-b"
