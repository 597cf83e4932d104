"""A migration in the laboratory, asked for as OpenNebula asks, and what the VM's log says about it."""

import re
import subprocess
from dataclasses import dataclass

from tests.lab.laboratory import Laboratory
from tests.lab.node import PATIENCE, Done, Node
from tests.lab.vm import VM

DRIVER = "/var/tmp/one/vmm/kvm/migrate"


def action_xml(vm: VM, cluster: str = "100", *, datastore: str = "0", features: str = "") -> bytes:
    """Return what OpenNebula gives the driver on standard input, as far as anybody reads it."""
    shared = "NO" if vm.disk else "YES"
    folder = "/var/lib/one/datastores"
    return (
        f"<VMM_DRIVER_ACTION_DATA><DEPLOY_ID>{vm.name}</DEPLOY_ID>"
        f"<DISK_TARGET_PATH>{folder}/{datastore}/{vm.number}</DISK_TARGET_PATH>"
        f"<VM><TEMPLATE><FEATURES>{features}</FEATURES></TEMPLATE>"
        f"<HISTORY_RECORDS><HISTORY><CID>{cluster}</CID></HISTORY></HISTORY_RECORDS></VM>"
        f"<DATASTORE><BASE_PATH>{folder}/0</BASE_PATH><TEMPLATE><SHARED>{shared}</SHARED></TEMPLATE>"
        "</DATASTORE></VMM_DRIVER_ACTION_DATA>"
    ).encode()


@dataclass
class Result:
    """One run of the driver."""

    done: Done

    @property
    def log(self) -> str:
        """Return the lines for the VM's log."""
        return self.done.stderr

    @property
    def downtime(self) -> float:
        """Return the down-time that was reported, in seconds."""
        found = re.search(r"down-time (\d+) ms", self.log)
        assert found, self.log
        return int(found.group(1)) / 1000


def arguments(vm: VM, source: Node, destination: str) -> list[str]:
    """Return the driver's command line."""
    return [DRIVER, vm.name, destination, source.name, vm.number, source.name]


def migrate(
    vm: VM, source: Node, destination: Node, *, name: str = "", timeout: float = PATIENCE, xml: bytes = b""
) -> Result:
    """Run the driver to its end on the source, as oneadmin."""
    words = arguments(vm, source, name or destination.name)
    return Result(
        source.run(*words, user="oneadmin", stdin=xml or action_xml(vm), check=False, timeout=timeout)
    )


def start(vm: VM, source: Node, destination: Node) -> "subprocess.Popen[bytes]":
    """Start the driver on the source, as oneadmin."""
    process = subprocess.Popen(
        source.command(*arguments(vm, source, destination.name)),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdin is not None
    process.stdin.write(action_xml(vm))
    process.stdin.close()
    process.stdin = None
    return process


def finish(process: "subprocess.Popen[bytes]", timeout: float = PATIENCE) -> Result:
    """Wait for a started driver."""
    stdout, stderr = process.communicate(timeout=timeout)
    return Result(Done(process.returncode, stdout.decode(errors="replace"), stderr.decode(errors="replace")))


def runs_on(lab: Laboratory, vm: VM) -> list[str]:
    """Return the nodes on which the VM is, one of which it should be."""
    return [node.name for node in lab.nodes if lab_state(node, vm) not in ("absent", "shut off")]


def lab_state(node: Node, vm: VM) -> str:
    """Return the VM's state on a node."""
    return node.state(vm.name)


def ticking(vm: VM) -> bool:
    """Tell whether the VM's clock moves."""
    before = vm.ticks()
    return any(_wait(0.1) or vm.ticks() > before for _ in range(300))


def _wait(seconds: float) -> bool:
    subprocess.run(["sleep", str(seconds)], check=True)
    return False


def leftovers(lab: Laboratory) -> list[str]:
    """Return what a migration left behind on either node: devices, bridges, helper processes, locks."""
    found = []
    for node in lab.nodes:
        found += [f"{node.name}: device {name}" for name in node.tunnels()]
        found += [
            f"{node.name}: {line}"
            for line in node.processes(r"onext_migrate|virsh.* migrate |wireguard-go oxt").values()
        ]
        locks = node.folder / "vartmp/onext-migrate"
        found += [f"{node.name}: {path.name}" for path in locks.glob("oxt*")]
    return found
