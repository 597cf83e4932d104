"""Calls in general: faults, pages, who sees what, and the trouble that a test can make."""

import subprocess
import sys
import threading
import xmlrpc.client
from collections.abc import Callable
from http.client import HTTPConnection, RemoteDisconnected
from urllib.parse import urlparse

import pytest

from tests.fixtures_sandbox import ROOT, Sandbox
from tests.waiting import PATIENCE

pytestmark = pytest.mark.process
HOST, VM, USE, MANAGE, ALL, ONE, GROUP = (
    0x2000000000,
    0x1000000000,
    1,
    2,
    0x400000000,
    0x100000000,
    0x200000000,
)


def test_faults(quiet: Sandbox) -> None:
    """Wrong numbers and types of arguments are faults of the library below oned, not answers."""
    for code, call in (
        (-501, ("one.host.info",)),
        (-501, ("one.host.info", "0")),
        (-501, ("one.host.info", True)),
        (-501, ("one.vnpool.info",)),
        (-506, ("one.host.fly", 0)),
    ):
        with pytest.raises(xmlrpc.client.Fault) as raised:
            quiet.answer(*call)
        assert raised.value.faultCode == code


@pytest.mark.parametrize("body", [b"", b"<", b"<methodCall/>", b"<!DOCTYPE x><methodCall/>", b"\xff\xfe"])
def test_what_is_no_call(quiet: Sandbox, body: bytes) -> None:
    """Rubbish gets a fault and harms nobody."""
    where = urlparse(quiet.endpoint)
    connection = HTTPConnection(where.hostname or "", where.port)
    connection.request("POST", "/RPC2", body)
    assert b"-503" in connection.getresponse().read()
    connection.close()
    assert quiet.call("system.version") == "7.4.0"


def test_pages(sandboxes: Callable[..., Sandbox]) -> None:
    """A range of ids, and a page (offset, negative number), are not the same."""
    running = sandboxes("--hosts", "2", "--vms", "10")

    def listed(*arguments: int) -> list[int]:
        document = running.call("vmpool.info", *arguments, -1)
        return [int(part.partition("<")[0]) for part in document.split("<VM><ID>")[1:]]

    assert listed(-2, -1, -1) == list(range(9, -1, -1))
    assert listed(-2, 3, 5) == [5, 4, 3]
    assert listed(-2, 7, -1) == [9, 8, 7]
    assert listed(-2, 0, -4) == [9, 8, 7, 6]
    assert listed(-2, 8, -4) == [1, 0]
    assert listed(-3, -1, -1) == list(range(9, -1, -1))
    assert running.answer("one.vmpool.info", -9, -1, -1, -1)[2] == 0x1000
    assert running.answer("one.vmpool.info", -2, -1, -1, 99)[2] == 0x1000
    assert running.call("hostpool.info").count("<HOST>") == 2


def test_a_tenant_sees_and_changes_only_what_is_his(sandbox: Sandbox) -> None:
    """Tests of what tenants can do would prove nothing."""
    sandbox.control("scheduler", False)
    sandbox.call("host.allocate", "node-a1", "kvm", "kvm", 0)
    sandbox.call("vm.allocate", "CPU=1 MEMORY=64", True)
    sandbox.call("user.allocate", "bob", "secret", "", [])
    bob = "bob:secret"
    own = sandbox.call("vm.allocate", "CPU=1 MEMORY=64 NAME=own", False, session=bob)
    assert sandbox.call("vmpool.info", -2, -1, -1, -1, session=bob).count("<VM>") == 1
    assert sandbox.call("hostpool.info", session=bob) == "<HOST_POOL></HOST_POOL>"
    sandbox.call("vm.update", own, 'A="1"', 1, session=bob)
    for method, *arguments in (
        ("one.vm.update", 0, "A=1", 1),
        ("one.vm.info", 0),
        ("one.host.info", 0),
        ("one.host.update", 0, "A=1", 1),
        ("one.vm.deploy", own, 0, False),
        ("one.system.config",),
        ("one.cluster.update", 0, "A=1", 1),
        ("one.user.update", 0, "A=1", 1),
        ("one.hook.allocate", "NAME=x"),
        ("sandbox.monitor",),
    ):
        assert sandbox.answer(str(method), *arguments, session=bob)[2] == 0x0200
    refused = sandbox.answer("one.vm.update", 0, "A=1", 1, session=bob)[1]
    assert refused == "[one.vm.update] User [2] : Not authorized to perform MANAGE VM [0]."


def test_restricted_attributes(sandbox: Sandbox) -> None:
    """What VM_RESTRICTED_ATTR names is the only thing that holds a tenant back in his own VM."""
    sandbox.control("scheduler", False)
    sandbox.call("user.allocate", "bob", "secret", "", [])
    own = sandbox.call("vm.allocate", "CPU=1 MEMORY=64", False, session="bob:secret")
    answered = sandbox.answer("one.vm.update", own, 'DEPLOY_ID="x"', 1, session="bob:secret")
    assert "restricted attribute DEPLOY_ID" in answered[1]
    sandbox.call("vm.update", own, 'DEPLOY_ID="x"', 1)
    answered = sandbox.answer(
        "one.vm.allocate", 'CPU=1 MEMORY=64 NIC=[MAC="02:00:00:00:00:01"]', session="bob:secret"
    )
    assert (answered[2], "NIC/MAC" in answered[1]) == (0x0200, True)


def test_owners_and_permissions(sandbox: Sandbox) -> None:
    """Networks of tenants and of administrators are told apart by their owner."""
    network = sandbox.call(
        "vn.allocate", 'NAME="n" VN_MAD="dummy" BRIDGE="br0" AR=[TYPE="IP4",IP="192.0.2.1",SIZE="9"]'
    )
    bob = sandbox.call("user.allocate", "bob", "secret", "", [])
    assert sandbox.answer("one.vn.info", network, session="bob:secret")[2] == 0x0200
    sandbox.call("vn.chmod", network, -1, -1, -1, -1, -1, -1, 1, 0, 0)
    assert sandbox.call("vnpool.info", -2, -1, -1, session="bob:secret").count("<VNET>") == 1
    assert sandbox.answer("one.vn.chown", network, bob, -1, session="bob:secret")[2] == 0x0200
    sandbox.call("vn.chown", network, bob, 1)
    assert f"<UID>{bob}</UID><GID>1</GID><UNAME>bob</UNAME><GNAME>users</GNAME>" in sandbox.call(
        "vn.info", network
    )
    answered = sandbox.answer("one.vn.update", network, 'BRIDGE="x"', 1, session="bob:secret")
    assert "restricted attribute BRIDGE" in answered[1]
    sandbox.call("vn.update", network, 'ONEXT_SCRAPE="YES"', 1, session="bob:secret")
    sandbox.call("vn.rename", network, "mine", session="bob:secret")
    assert "<NAME>mine</NAME>" in sandbox.call("vn.info", network)


def test_acl_rules_open_pools(sandbox: Sandbox) -> None:
    """The exporter's user may only USE what it reads: it must see all of it, and change nothing."""
    sandbox.call("host.allocate", "node-a1", "kvm", "kvm", 0)
    sandbox.call("vm.allocate", "CPU=1 MEMORY=64", True)
    reader = sandbox.call("user.allocate", "exporter", "secret", "", [])
    rule = sandbox.call("acl.addrule", f"{ONE | reader:x}", f"{ALL | HOST | VM:x}", f"{USE:x}")
    session = "exporter:secret"
    assert sandbox.call("hostpool.info", session=session).count("<HOST>") == 1
    assert sandbox.call("vmpool.infoextended", -2, -1, -1, -1, session=session).count("<VM>") == 1
    assert sandbox.answer("one.host.update", 0, "A=1", 1, session=session)[2] == 0x0200
    sandbox.call("acl.delrule", rule)
    assert sandbox.call("hostpool.info", session=session).count("<HOST>") == 0
    sandbox.call("acl.addrule", f"{GROUP | 1:x}", f"{ONE | HOST | 0:x}", f"{MANAGE:x}", f"{ALL:x}")
    assert sandbox.answer("one.host.info", 0, session=session)[2] == 0x0200


def test_oned_that_does_not_answer(sandbox: Sandbox) -> None:
    """The parts' behaviour with oned down could not be tried."""
    sandbox.control("trouble", True, 0.0, "")
    with pytest.raises(RemoteDisconnected):
        sandbox.answer("one.system.version")
    sandbox.control("trouble", False, 0.0, "")
    assert sandbox.call("system.version") == "7.4.0"


def test_oned_that_answers_late(sandbox: Sandbox) -> None:
    """Nor with an oned that is slow for some calls."""
    sandbox.control("trouble", False, 5.0, "one.host")
    late = threading.Thread(target=sandbox.call, args=("hostpool.info",))
    late.start()
    assert sandbox.call("vmpool.info", -2, -1, -1, -1) == "<VM_POOL></VM_POOL>"
    assert late.is_alive()
    late.join()


def test_raft(sandbox: Sandbox) -> None:
    """Followers answer info calls and refuse writes; a leader that is cut off blocks in writes only."""
    sandbox.call("host.allocate", "node-a1", "kvm", "kvm", 0)
    assert "<STATE>0</STATE><TERM>0</TERM>" in sandbox.call("zone.raftstatus")
    sandbox.control("raft", 2, 5, False)
    assert "<STATE>2</STATE><TERM>5</TERM>" in sandbox.call("zone.raftstatus")
    assert sandbox.answer("one.host.info", 0)[0]
    answered = sandbox.answer("one.host.update", 0, "A=1", 1)
    assert answered[1:3] == ["[one.host.update] Cannot process request, no leader found", 0x2000]
    sandbox.control("raft", 3, 6, True)
    blocked = threading.Thread(target=sandbox.call, args=("host.update", 0, "A=1", 1))
    blocked.start()
    assert "<A>" not in sandbox.call("host.info", 0)
    assert blocked.is_alive()
    sandbox.control("raft", 3, 7, False)
    blocked.join(PATIENCE)
    assert "<A>" in sandbox.call("host.info", 0)


def test_it_remembers_its_password_and_nothing_else(sandboxes: Callable[..., Sandbox]) -> None:
    """State is in memory: a second start is an empty cloud at the same place."""
    first = sandboxes()
    first.call("host.allocate", "node-a1", "kvm", "kvm", 0)
    conf = (first.location / "etc/oned.conf").read_bytes()
    first.stop()
    second = Sandbox(first.location)
    try:
        assert second.session == first.session
        assert second.call("hostpool.info") == "<HOST_POOL></HOST_POOL>"
        assert (second.location / "etc/oned.conf").read_bytes() == conf
        assert (second.location / "var/.one/one_endpoint").read_text().strip() == second.endpoint
        assert oct((second.location / "var/.one/one_auth").stat().st_mode)[-3:] == "600"
    finally:
        second.stop()


@pytest.mark.timeout(300)
def test_it_holds_a_large_pool(sandboxes: Callable[..., Sandbox]) -> None:
    """Benchmarks need as many hosts and VMs as a zone has today, with answers as large as oned's."""
    running = sandboxes("--hosts", "1250", "--vms", "10000", "--monitor", "3600", "--release", "7.0.2")
    answer = raw(running, "one.vmpool.infoextended", -2, -1, -1, -1)
    assert answer.count(b"&lt;VM&gt;") == 10_000
    assert abs(len(answer) - 76_107_717) < 76_107_717 / 20  # recorded, on the wire
    answer = raw(running, "one.hostpool.info")
    assert answer.count(b"&lt;RUNNING_VMS&gt;8&lt;") == 1_250
    assert abs(len(answer) - 13_511_000) < 13_511_000 / 20
    assert raw(running, "one.vmpool.monitoring", -2, 0).count(b"&lt;MONITORING&gt;") == 10_000


def raw(sandbox: Sandbox, method: str, *arguments: int) -> bytes:
    """Return the bytes of an answer."""
    where = urlparse(sandbox.endpoint)
    connection = HTTPConnection(where.hostname or "", where.port)
    connection.request("POST", "/RPC2", xmlrpc.client.dumps((sandbox.session, *arguments), method).encode())
    with connection.getresponse() as response:
        body = response.read()
    connection.close()
    return body


def test_it_imports_nothing_of_ours() -> None:
    """The sandbox starts what is installed; a part of ours in its process would hide what is missing there."""
    code = "import sys, sandbox.__main__; print([m for m in sys.modules if m.split('.')[0] in ('onext', 'hooks', 'exporter', 'asyncssh')])"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
