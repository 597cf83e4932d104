"""Quotas of users and groups, as OpenNebula 7.4.0 and 7.0.2 show and enforce them."""

import re
from collections.abc import Callable

import pytest

from tests.fixtures_sandbox import Sandbox

pytestmark = pytest.mark.process
LIMITS = 'VM=[VMS="3",CPU="2.5",MEMORY="1024"] DATASTORE=[ID="1",SIZE="100",IMAGES="-1"] NETWORK=[ID="0",LEASES="4"]'
# Answers of a front-end of each release, in their form.
VM_7_0 = (
    "<VM><CPU><![CDATA[2.50]]></CPU><CPU_USED><![CDATA[0.50]]></CPU_USED><MEMORY><![CDATA[1024]]></MEMORY>"
    "<MEMORY_USED><![CDATA[64]]></MEMORY_USED><RUNNING_CPU><![CDATA[-1]]></RUNNING_CPU>"
    "<RUNNING_CPU_USED><![CDATA[0.50]]></RUNNING_CPU_USED><RUNNING_MEMORY><![CDATA[-1]]></RUNNING_MEMORY>"
    "<RUNNING_MEMORY_USED><![CDATA[64]]></RUNNING_MEMORY_USED><RUNNING_VMS><![CDATA[-1]]></RUNNING_VMS>"
    "<RUNNING_VMS_USED><![CDATA[1]]></RUNNING_VMS_USED><SYSTEM_DISK_SIZE><![CDATA[-1]]></SYSTEM_DISK_SIZE>"
    "<SYSTEM_DISK_SIZE_USED><![CDATA[0]]></SYSTEM_DISK_SIZE_USED><VMS><![CDATA[3]]></VMS>"
    "<VMS_USED><![CDATA[1]]></VMS_USED></VM>"
)
REST = (
    "<DATASTORE_QUOTA><DATASTORE><ID><![CDATA[1]]></ID><IMAGES><![CDATA[-1]]></IMAGES>"
    "<IMAGES_USED><![CDATA[0]]></IMAGES_USED><SIZE><![CDATA[100]]></SIZE><SIZE_USED><![CDATA[0]]></SIZE_USED>"
    "</DATASTORE></DATASTORE_QUOTA><NETWORK_QUOTA><NETWORK><ID><![CDATA[0]]></ID>"
    "<LEASES><![CDATA[4]]></LEASES><LEASES_USED><![CDATA[0]]></LEASES_USED></NETWORK></NETWORK_QUOTA>"
)


@pytest.mark.parametrize(("release", "more"), [("7.0.2", 0), ("7.4.0", 8)])
def test_quotas_look_as_oneds(sandboxes: Callable[..., Sandbox], release: str, more: int) -> None:
    """What reads quotas of the pools would find nothing, or other names, on a real front-end."""
    sandbox = sandboxes("--release", release, "--monitor", "3600")
    user = sandbox.call("user.allocate", "bob", "secret", "core", [])
    sandbox.call("user.quota", user, LIMITS)
    sandbox.call("vm.allocate", "CPU=0.5 MEMORY=64", True, session="bob:secret")
    shown = sandbox.call("user.info", user)
    assert REST in shown
    vm = re.search(r"<VM_QUOTA>(.*?)</VM_QUOTA>", shown)
    assert vm
    without = re.sub(r"<(\w*PCI\w*)><!\[CDATA\[-?\d]]></\1>", "", vm[1])
    assert without == VM_7_0
    assert vm[1].count("PCI") == 2 * more
    assert f"</USER><QUOTAS><ID>{user}</ID>{REST}<VM_QUOTA>{vm[1]}" in sandbox.call("userpool.info")
    group = sandbox.call("group.info", 1)
    assert "<VMS><![CDATA[-1]]></VMS><VMS_USED><![CDATA[1]]></VMS_USED>" in group
    assert ("<VLAN_RULES>" in group) is (release == "7.4.0")


def test_a_limit_refuses(sandbox: Sandbox) -> None:
    """A tenant who reached a limit gets another answer than from oned."""
    user = sandbox.call("user.allocate", "bob", "secret", "core", [])
    sandbox.call("user.quota", user, LIMITS)
    bob = "bob:secret"
    refused = sandbox.answer("one.vm.allocate", "CPU=3 MEMORY=64", True, session=bob)
    reason = f"User [{user}] : user [{user}] limit of 2.5 reached for CPU quota in VM."
    assert refused[1:3] == [f"[one.vm.allocate] {reason}", 0x200]
    sandbox.call("group.quota", 1, 'VM=[VMS="0"]')
    refused = sandbox.answer("one.vm.allocate", "CPU=1 MEMORY=64", True, session=bob)
    assert "group [1] limit of 0 reached for VMS quota in VM." in refused[1]
    sandbox.call("group.quota", 1, 'VM=[VMS="-1"]')
    oid = sandbox.call("vm.allocate", "CPU=1 MEMORY=64", True, session=bob)
    sandbox.call("vm.action", "terminate", oid)
    assert "<VM_QUOTA><VM>" in sandbox.call("user.info", user)
    assert "<VMS_USED><![CDATA[0]]></VMS_USED>" in sandbox.call("user.info", user)
