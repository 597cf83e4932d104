"""The laboratory as fixtures: brought up at first use, kept while the same network is asked for."""

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.lab.laboratory import Laboratory, Network
from tests.lab.readable import open_to_all
from tests.lab.vm import VM, build_initrd

KERNEL = Path(".cache/lab/vmlinuz")
PROGRAMS = [
    "libvirtd",
    "virtlogd",
    "virsh",
    "qemu-system-x86_64",
    "qemu-img",
    "ovs-vsctl",
    "ovs-vswitchd",
    "ovsdb-tool",
    "ovsdb-server",
    "sshd",
    "ssh-keygen",
    "sudo",
    "tcpdump",
    "ethtool",
    "gcc",
    "nsenter",
    "unshare",
    "setpriv",
]
OpenLab = Callable[[Network], Laboratory]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark everything below tests/lab."""
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker("lab")
            item.add_marker(pytest.mark.timeout(900))


def why_not() -> str:
    """Return why the laboratory cannot run here, "" when it can."""
    if os.geteuid() != 0:
        return "the laboratory needs root (network namespaces, QEMU, Open vSwitch)"
    path = os.environ.get("PATH", "") + ":/usr/sbin:/sbin"
    missing = [name for name in PROGRAMS if not shutil.which(name, path=path)]
    if missing:
        return f"not installed (sh tests/packages.sh): {', '.join(missing)}"
    return "" if KERNEL.exists() else f"no VM kernel {KERNEL} (sh tests/packages.sh)"


@pytest.fixture(scope="session")
def vm_files(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Return the VM's kernel and initrd, where the nodes' QEMU reads them."""
    reason = why_not()
    if reason and os.environ.get("CI"):
        pytest.fail(reason)
    if reason:
        pytest.skip(reason)
    initrd = build_initrd(tmp_path_factory.mktemp("VM"))
    open_to_all(initrd.parent)
    # nodes have a /var/tmp of their own: the checkout may be there
    return Path(shutil.copy(KERNEL, initrd.parent)), initrd


@pytest.fixture(scope="session")
def open_lab(tmp_path_factory: pytest.TempPathFactory, vm_files: tuple[Path, Path]) -> Iterator[OpenLab]:
    """Return the function that gives the laboratory of a network; one is up at a time."""
    kernel, initrd = vm_files
    current: list[Laboratory] = []

    def close() -> None:
        while current:
            current.pop().down()

    def open_one(network: Network) -> Laboratory:
        if current and current[0].network == network and all(node.alive() for node in current[0].nodes):
            return current[0]
        close()
        lab = Laboratory(tmp_path_factory.mktemp("lab"), network, kernel, initrd)
        current.append(lab)
        lab.up()
        return lab

    yield open_one
    close()


@pytest.fixture
def use_lab(open_lab: OpenLab) -> Iterator[OpenLab]:
    """Return the same, with nodes that are as after a fresh `onehost sync`, and no VMs."""
    used: list[Laboratory] = []

    def use(network: Network) -> Laboratory:
        lab = open_lab(network)
        used.append(lab)
        for node in lab.nodes:
            node.sync()
        return lab

    yield use
    for lab in used:
        for node in lab.nodes:
            if node.alive():
                node.clean()


@pytest.fixture
def lab(use_lab: OpenLab) -> Laboratory:
    """Return a laboratory on a plain network: kernel VXLAN, IPv4, MTU 1500."""
    return use_lab(Network())


@pytest.fixture
def vm(lab: Laboratory) -> VM:
    """Return a VM that runs on node a, its memory full."""
    vm = lab.vm("one-1")
    lab.boot(vm, lab.a)
    return vm
