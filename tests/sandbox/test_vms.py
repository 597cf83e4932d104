"""VMs: their lives, what they take from hosts, where they may go."""

import re

import pytest

from tests.fixtures_sandbox import Sandbox

pytestmark = pytest.mark.process
GUEST = "CPU=1 MEMORY=1024"


@pytest.fixture
def pool(sandbox: Sandbox) -> Sandbox:
    """Return a sandbox with three monitored hosts of 8 CPUs and 16 GiB, and the scheduler asleep."""
    sandbox.control("scheduler", False)
    for name in ("node-a", "node-b", "node-c"):
        sandbox.call("host.allocate", name, "kvm", "kvm", 0)
    sandbox.until(lambda: sandbox.call("hostpool.info").count("<STATE>2</STATE>") == 3)
    return sandbox


def vm(sandbox: Sandbox, source: str = GUEST, host: int | None = 0) -> int:
    """Make a VM and wait until it runs on a host."""
    oid = int(sandbox.call("vm.allocate", source, True))
    if host is not None:
        sandbox.call("vm.deploy", oid, host, False)
        until(sandbox, oid, 3, 3)
    return oid


def states(sandbox: Sandbox, oid: int) -> tuple[int, int]:
    """Return STATE and LCM_STATE."""
    found = re.search(r"<STATE>(\d+)</STATE><LCM_STATE>(\d+)</LCM_STATE>", sandbox.call("vm.info", oid))
    assert found
    return int(found[1]), int(found[2])


def until(sandbox: Sandbox, oid: int, state: int, lcm: int = 0) -> None:
    """Wait for a state."""
    sandbox.until(lambda: states(sandbox, oid) == (state, lcm))


def stays(sandbox: Sandbox, oid: int) -> list[tuple[str, str]]:
    """Return the host and the action of every HISTORY record."""
    document = sandbox.call("vm.info", oid)
    return re.findall(r"<HOSTNAME>(.*?)</HOSTNAME>.*?<ACTION>(\d+)</ACTION>", document)


def usage(sandbox: Sandbox, oid: int) -> tuple[int, int, int]:
    """Return CPU_USAGE, MEM_USAGE (KiB) and RUNNING_VMS of a host."""
    document = sandbox.call("host.info", oid)
    found = [re.search(rf"<{name}>(\d+)<", document) for name in ("CPU_USAGE", "MEM_USAGE", "RUNNING_VMS")]
    assert all(found)
    return tuple(int(one[1]) for one in found if one)  # type: ignore[return-value]


@pytest.mark.parametrize(
    ("action", "state", "bound"),
    [
        ("poweroff", 8, True),
        ("suspend", 5, True),
        ("stop", 4, False),
        ("undeploy", 9, False),
        ("terminate", 6, False),
    ],
)
def test_what_each_state_takes_from_its_host(pool: Sandbox, action: str, state: int, bound: bool) -> None:
    """A host with a guest that is only powered off or suspended is not empty: it must never be switched off."""
    guest = vm(pool)
    assert usage(pool, 0) == (100, 1048576, 1)
    pool.call("vm.action", action, guest)
    until(pool, guest, state)
    assert usage(pool, 0) == ((100, 1048576, 1) if bound else (0, 0, 0))
    assert (f"<VMS><ID>{guest}</ID></VMS>" in pool.call("host.info", 0)) is bound


@pytest.mark.parametrize(("action", "state"), [("poweroff", 8), ("suspend", 5)])
def test_resume_goes_past_the_scheduler(pool: Sandbox, action: str, state: int) -> None:
    """A guest resumed on a disabled host runs there."""
    guest = vm(pool)
    pool.call("vm.action", action, guest)
    until(pool, guest, state)
    pool.call("host.status", 0, 1)
    pool.call("vm.action", "resume", guest)
    until(pool, guest, 3, 3)
    assert [host for host, _ in stays(pool, guest)] == ["node-a", "node-a"]


def test_live_migration(pool: Sandbox) -> None:
    """Capacity is taken on the destination first, and given back on the source only at the end."""
    guest = vm(pool)
    pool.control("step", 5.0)
    pool.call("vm.migrate", guest, 1, True, True, -1)
    assert states(pool, guest) == (3, 4)
    assert (usage(pool, 0), usage(pool, 1)) == ((100, 1048576, 1), (100, 1048576, 1))
    until(pool, guest, 3, 3)
    assert usage(pool, 0) == (0, 0, 0)
    assert stays(pool, guest) == [("node-a", "2"), ("node-b", "0")]


def test_a_live_migration_that_fails(pool: Sandbox) -> None:
    """The guest runs on where it was."""
    guest = vm(pool)
    pool.control("vm.fault", guest, "MIGRATE")
    pool.call("vm.migrate", guest, 1, True, True, -1)
    until(pool, guest, 3, 3)
    assert stays(pool, guest)[-1][0] == "node-a"
    assert (usage(pool, 0)[2], usage(pool, 1)[2]) == (1, 0)


@pytest.mark.parametrize(("action", "state"), [(None, 3), ("poweroff", 8), ("suspend", 5)])
def test_cold_migration(pool: Sandbox, action: str | None, state: int) -> None:
    """Parked guests can be moved too, and stay parked."""
    guest = vm(pool)
    if action:
        pool.call("vm.action", action, guest)
        until(pool, guest, state)
    pool.call("vm.migrate", guest, 2, False, False, -1)
    until(pool, guest, state, 0 if action else 3)
    assert stays(pool, guest)[-1][0] == "node-c"
    assert (usage(pool, 0)[2], usage(pool, 2)[2]) == (0, 1)


def test_disabled_is_no_barrier_and_offline_is(pool: Sandbox) -> None:
    """Forced deploys reach a host that is being drained: only OFFLINE closes the door."""
    pool.call("host.status", 0, 1)
    first = vm(pool)
    assert states(pool, first) == (3, 3)
    pool.call("host.status", 0, 2)
    guest = vm(pool, host=None)
    answered = pool.answer("one.vm.deploy", guest, 0, False)
    assert answered[1:3] == ["[one.vm.deploy] Host is offline, cannot use it to deploy VM", 0x0800]
    other = vm(pool, host=1)
    assert pool.answer("one.vm.migrate", other, 0, True, False, -1)[2] == 0x0800
    assert states(pool, first) == (3, 3)


def test_enforce_looks_at_the_capacity(pool: Sandbox) -> None:
    """Without it a host can be filled beyond its size."""
    guest = vm(pool, "CPU=9 MEMORY=64", host=None)
    answered = pool.answer("one.vm.deploy", guest, 0, True)
    assert (
        answered[1] == "[one.vm.deploy] virtual machine [0] does not fit in host [0]. Not enough CPU: 900/800"
    )
    pool.call("vm.deploy", guest, 0, False)
    until(pool, guest, 3, 3)


@pytest.mark.parametrize(("fault", "lcm"), [("PROLOG", 39), ("BOOT", 36)])
def test_failures_and_recovery(pool: Sandbox, fault: str, lcm: int) -> None:
    """Targets and planners see the *_FAILURE states; a person recovers from them."""
    guest = vm(pool, host=None)
    pool.control("vm.fault", guest, fault)
    pool.call("vm.deploy", guest, 0, False)
    until(pool, guest, 3, lcm)
    pool.call("vm.recover", guest, 2)
    until(pool, guest, 3, 3)


def test_delete_from_a_failure(pool: Sandbox) -> None:
    """Whatever was taken comes back."""
    guest = vm(pool, host=None)
    pool.control("vm.fault", guest, "BOOT")
    pool.call("vm.deploy", guest, 0, False)
    until(pool, guest, 3, 36)
    pool.call("vm.recover", guest, 3)
    until(pool, guest, 6)
    assert usage(pool, 0) == (0, 0, 0)


def test_what_happens_to_guests(pool: Sandbox) -> None:
    """Crashes and losses reach the hooks as POWEROFF and UNKNOWN."""
    guest = vm(pool)
    pool.control("vm.happens", guest, "lost")
    assert states(pool, guest) == (3, 16)
    pool.control("vm.happens", guest, "found")
    assert states(pool, guest) == (3, 3)
    pool.control("vm.happens", guest, "crash")
    assert states(pool, guest) == (8, 0)


@pytest.mark.parametrize("action", ["resume", "hold", "poweroff", "suspend", "reboot"])
def test_actions_in_the_wrong_state(quiet: Sandbox, action: str) -> None:
    """The client's typed error is made of this code."""
    answered = quiet.answer("one.vm.action", action, 0)
    wanted = (
        f'[one.vm.action] Error performing action "{action}": This action is not available for state HOLD'
    )
    assert answered[1:3] == [wanted, 0x0800]


def test_an_action_that_is_none(quiet: Sandbox) -> None:
    """The same, for a word that oned does not know."""
    answered = quiet.answer("one.vm.action", "explode", 0)
    assert answered[1] == '[one.vm.action] Action "explode" is not supported'


def test_the_scheduler(pool: Sandbox) -> None:
    """Pending VMs go where they fit and want to be; the others say why they wait."""
    pool.call("host.status", 0, 1)
    fits = pool.call("vm.allocate", f'{GUEST} SCHED_REQUIREMENTS="NAME=\\"node-c\\""', False)
    huge = pool.call("vm.allocate", "CPU=64 MEMORY=64", False)
    nowhere = pool.call("vm.allocate", f'{GUEST} SCHED_REQUIREMENTS="CLUSTER_ID=\\"77\\""', False)
    broken = pool.call("vm.allocate", f'{GUEST} SCHED_REQUIREMENTS="((("', False)
    pool.control("scheduler", True)
    until(pool, fits, 3, 3)
    assert stays(pool, fits) == [("node-c", "0")]
    assert "<PLAN_ID>-1</PLAN_ID>" in pool.call("vm.info", fits)
    reasons = (
        (huge, "with enough capacity"),
        (nowhere, "meets SCHED_REQUIREMENTS"),
        (broken, "Error parsing"),
    )
    pool.until(lambda: all(reason in pool.call("vm.info", guest) for guest, reason in reasons))
    assert {states(pool, guest) for guest, _ in reasons} == {(1, 0)}


def test_vm_groups_keep_their_distance(pool: Sandbox) -> None:
    """Anti-affine guests on one host would make a plan look right that is wrong."""
    pool.call("vmgroup.allocate", 'NAME="g" ROLE=[NAME="web",POLICY="ANTI_AFFINED"]')
    guests = [pool.call("vm.allocate", f'{GUEST} VMGROUP=[VMGROUP_ID=0,ROLE="web"]', False) for _ in range(4)]
    pool.control("scheduler", True)
    for guest in guests[:3]:
        until(pool, guest, 3, 3)
    assert {stays(pool, guest)[0][0] for guest in guests[:3]} == {"node-a", "node-b", "node-c"}
    assert states(pool, guests[3]) == (1, 0)


def test_addresses(pool: Sandbox) -> None:
    """Targets are made of a VM's own addresses: IPv4, IPv6, aliases, external ones."""
    pool.call(
        "vn.allocate",
        'NAME="dual" VN_MAD="dummy" BRIDGE="br0" '
        'AR=[TYPE="IP4_6",IP="192.0.2.10",SIZE="4",GLOBAL_PREFIX="2001:db8::",ULA_PREFIX="fd00::"]',
    )
    pool.call(
        "vn.allocate",
        'NAME="public" VN_MAD="dummy" EXTERNAL_IP="198.51.100.1" AR=[TYPE="IP4",IP="203.0.113.1",SIZE="9"]',
    )
    guest = vm(
        pool,
        f'{GUEST} NIC=[NETWORK="dual"] NIC_ALIAS=[NETWORK="public",PARENT="NIC0",IP="203.0.113.5"]',
        host=None,
    )
    document = pool.call("vm.info", guest)
    for address in (
        "<IP><![CDATA[192.0.2.10]]></IP>",
        "<IP6_GLOBAL><![CDATA[2001:db8::c0ff:fe00:20a]]></IP6_GLOBAL>",
        "<IP><![CDATA[203.0.113.5]]></IP>",
        "<EXTERNAL_IP><![CDATA[198.51.100.1]]></EXTERNAL_IP>",
    ):
        assert address in document
    answered = pool.answer("one.vm.allocate", f'{GUEST} NIC=[NETWORK="nowhere"]', False)
    assert answered[2] == 0x2000
    pool.call("vm.action", "terminate", guest)
    until(pool, guest, 6)
    assert "<USED_LEASES>0</USED_LEASES>" in pool.call("vn.info", 0)


def test_accounting(pool: Sandbox) -> None:
    """`onext power advise` reads a cluster's past from the stays of its VMs."""
    guest = vm(pool)
    pool.call("vm.migrate", guest, 1, True, False, -1)
    until(pool, guest, 3, 3)
    document = pool.call("vmpool.accounting", -2, -1, -1)
    assert re.findall(r"<HISTORY><OID>0</OID>.*?<HOSTNAME>(.*?)<", document)[0] == "node-a"
    assert document.count("<HISTORY><OID>") >= 2


def test_scheduled_actions(pool: Sandbox) -> None:
    """A host whose guest has an action due soon must not be switched off; pools show only ids."""
    guest = vm(pool, f'{GUEST} SCHED_ACTION=[ACTION="poweroff",TIME="+60"]', host=None)
    number = pool.call("vm.schedadd", guest, 'SCHED_ACTION=[ACTION="terminate",TIME="1900000000"]')
    document = pool.call("vm.info", guest)
    assert f"<SCHED_ACTIONS><ID>0</ID><ID>{number}</ID></SCHED_ACTIONS>" in document
    assert re.findall(r"<ACTION>(\w+)</ACTION><ARGS></ARGS><TIME>(\d+)", document)[1] == (
        "terminate",
        "1900000000",
    )
    assert "<SCHED_ACTION>" not in pool.call("vmpool.infoextended", -2, -1, -1, -1)
    answered = pool.answer("one.vm.schedadd", guest, 'SCHED_ACTION=[ACTION="explode",TIME="1"]')
    assert answered[1:3] == ["[one.vm.schedadd] explode is not supported.", 0x0800]
    pool.call("vm.scheddelete", guest, number)
    assert "terminate" not in pool.call("vm.info", guest)
