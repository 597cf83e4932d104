"""A host that fails, as oned lives through it: what the availability part is tried against."""

import re
from collections.abc import Callable

import pytest

from tests.fixtures_sandbox import Sandbox

pytestmark = pytest.mark.process
ACTIVE, POWEROFF = 3, 8
RUNNING, UNKNOWN, BOOT_FAILURE, INIT = 3, 16, 36, 0
FAILURE, SUCCESS, RETRY = range(3)
MONITOR_ACTION = "44"


@pytest.fixture
def cloud(sandboxes: Callable[..., Sandbox]) -> Sandbox:
    """Return two hosts, a VM on the first; a host that is silent for 0.6 s is in ERROR."""
    sandbox = sandboxes("--step", "0.02", "--monitor", "0.2")
    for name in ("node-a1", "node-a2"):
        sandbox.call("host.allocate", name, "kvm", "kvm", 0)
    sandbox.until(lambda: sandbox.call("hostpool.info").count("<STATE>2</STATE>") == 2)
    sandbox.call("vm.allocate", "CPU=1 MEMORY=64", True)
    sandbox.call("vm.deploy", 0, 0)
    until(sandbox, (ACTIVE, RUNNING))
    return sandbox


def states(sandbox: Sandbox, oid: int = 0) -> tuple[int, int]:
    """Return STATE and LCM_STATE."""
    found = re.search(r"<STATE>(\d+)</STATE><LCM_STATE>(\d+)</LCM_STATE>", sandbox.call("vm.info", oid))
    assert found
    return int(found[1]), int(found[2])


def until(sandbox: Sandbox, wanted: tuple[int, int]) -> None:
    """Wait for a state of the VM."""
    sandbox.until(lambda: states(sandbox) == wanted)


def host_state(sandbox: Sandbox, oid: int = 0) -> str:
    """Return STATE of a host."""
    return str(sandbox.call("host.info", oid).partition("<STATE>")[2].partition("<")[0])


def fail(sandbox: Sandbox, **more: object) -> None:
    """Let host 0 fall silent, and wait until oned has noticed."""
    sandbox.control("host.machine", 0, {"alive": False, **more})
    sandbox.until(lambda: host_state(sandbox) == "3")
    until(sandbox, (ACTIVE, UNKNOWN))


def last_stay(sandbox: Sandbox) -> tuple[str, str]:
    """Return the host and the action of the last HISTORY record."""
    document = sandbox.call("vm.info", 0)
    host, action = re.findall(r"<HOSTNAME>(.*?)</HOSTNAME>.*?<ACTION>(\d+)</ACTION>", document)[-1]
    return host, action


def test_silence_is_error_and_the_vms_are_unknown(cloud: Sandbox) -> None:
    """An end-to-end test of availability would wait for a state that never comes."""
    cloud.remote("hooks/test/dump.sh", "#!/bin/sh\n")
    hook = cloud.call(
        "hook.allocate",
        'NAME=e TYPE=state RESOURCE=HOST STATE=ERROR COMMAND=test/dump.sh ARGUMENTS="$TEMPLATE"',
    )
    fail(cloud)
    cloud.until(lambda: "<CODE>0</CODE>" in cloud.call("hook.info", hook))


def test_a_vm_restarts_elsewhere(cloud: Sandbox) -> None:
    """The only call that starts a VM of a dead host elsewhere would be refused, or do something else."""
    fail(cloud, running=[])
    cloud.call("vm.migrate", 0, 1, False, True, -1, 0)
    until(cloud, (ACTIVE, RUNNING))
    assert last_stay(cloud)[0] == "node-a2"
    assert "<VMS></VMS>" in cloud.call("host.info", 0)
    assert "<VMS><ID>0</ID></VMS>" in cloud.call("host.info", 1)


def test_an_isolated_host_keeps_its_vm_and_oned_calls_it_a_zombie(cloud: Sandbox) -> None:
    """A VM that runs twice could not be seen in the sandbox: the very thing that must never happen."""
    fail(cloud)  # isolated: it runs on
    cloud.call("vm.migrate", 0, 1, False, True, -1, 0)
    until(cloud, (ACTIVE, RUNNING))
    cloud.control("host.machine", 0, {"alive": True})
    cloud.until(lambda: "<ZOMBIES><![CDATA[0]]></ZOMBIES>" in cloud.call("host.info", 0))
    assert last_stay(cloud)[0] == "node-a2"


@pytest.mark.parametrize(
    ("machine", "wanted"),
    [({"running": []}, (POWEROFF, INIT)), ({}, (ACTIVE, RUNNING))],
    ids=["crashed", "isolated"],
)
def test_a_host_that_returns(cloud: Sandbox, machine: dict[str, object], wanted: tuple[int, int]) -> None:
    """A crashed host's VM becomes POWEROFF by monitoring, an isolated one's is found again."""
    fail(cloud, **machine)
    cloud.control("host.machine", 0, {"alive": True})
    until(cloud, wanted)
    assert host_state(cloud) == "2"
    if wanted[0] == POWEROFF:
        assert last_stay(cloud) == ("node-a1", MONITOR_ACTION)


def test_a_disabled_host_that_fails_stays_disabled(cloud: Sandbox) -> None:
    """No ERROR hook tells of such a host: only its silence does."""
    cloud.call("host.status", 0, 1)
    cloud.control("host.machine", 0, {"alive": False})
    until(cloud, (ACTIVE, UNKNOWN))
    assert host_state(cloud) == "4"


def test_a_boot_on_a_dead_host_fails_and_can_be_retried(cloud: Sandbox) -> None:
    """A target that dies under an evacuation would look like a success."""
    fail(cloud, running=[])
    cloud.control("host.machine", 1, {"alive": False})
    cloud.call("vm.migrate", 0, 1, False, True, -1, 0)
    until(cloud, (ACTIVE, BOOT_FAILURE))
    cloud.control("host.machine", 1, {"alive": True})
    cloud.call("vm.recover", 0, RETRY)
    until(cloud, (ACTIVE, RUNNING))
    assert last_stay(cloud)[0] == "node-a2"


def test_a_live_migration_from_a_dead_host_ends_as_running_on_it(cloud: Sandbox) -> None:
    """Such a VM is RUNNING to oned and dead in truth; `monitor down` came before and comes no more."""
    cloud.control("step", 1.0)
    cloud.call("vm.migrate", 0, 1, True, False, -1, 0)
    cloud.control("host.machine", 0, {"alive": False, "running": []})
    cloud.until(lambda: host_state(cloud) == "3")
    cloud.control("step", 0.02)
    until(cloud, (ACTIVE, RUNNING))
    assert last_stay(cloud)[0] == "node-a1"


def test_oned_itself_moves_an_unknown_vm_unless_it_is_locked(cloud: Sandbox) -> None:
    """The scheduler starts VMs of a silent host elsewhere without proof: the race that a lock must win."""
    fail(cloud)
    cloud.call("vm.lock", 0, 3, False)
    refused = cloud.answer("one.vm.action", "resched", 0)
    assert refused[2] == 0x200
    cloud.call("vm.unlock", 0)
    cloud.call("vm.action", "resched", 0)
    cloud.until(lambda: last_stay(cloud)[0] == "node-a2")


@pytest.mark.parametrize("operation", [FAILURE, SUCCESS])
def test_recover_of_an_unknown_vm_believes_it_running(cloud: Sandbox, operation: int) -> None:
    """A blind `recover` makes a dead VM RUNNING: nothing may call it without a look."""
    fail(cloud, running=[])
    cloud.call("vm.recover", 0, operation)
    assert states(cloud) == (ACTIVE, RUNNING)


def test_what_migrate_refuses(cloud: Sandbox) -> None:
    """A caller would not learn oned's reasons, in oned's words, before a real front-end gives them."""
    store = cloud.call("datastore.allocate", 'NAME="system-2" TYPE="SYSTEM_DS" TM_MAD="dummy"', 0)
    for arguments, message in (
        ((0, 0, True, False, -1, 0), "VM is already running on host [0] and datastore [0]"),
        ((0, 1, True, False, store, 0), "Cannot live migrate host and datastore at the same time."),
        ((0, 0, True, False, 999, 0), "Error getting datastore [999]."),
        ((0, 999, True, False, -1, 0), "Error getting host [999]."),
        (
            (0, 0, True, False, 1, 0),
            "Trying to use datastore [1] to deploy the VM, but it is not of type system datastore.",
        ),
    ):
        assert cloud.answer("one.vm.migrate", *arguments)[1] == f"[one.vm.migrate] {message}"
    cloud.call("vm.migrate", 0, 0, True, False, store, 0)
    until(cloud, (ACTIVE, RUNNING))
    assert f"<DS_ID>{store}</DS_ID>" in cloud.call("vm.info", 0)
    assert "<VMS><ID>0</ID></VMS>" in cloud.call("host.info", 0)
