"""VM groups: which VMs must be apart, together, or on certain hosts."""

from __future__ import annotations

from pathlib import Path

from onext.hosts.inventory.groups import Ties, ties
from onext.xml import parse

RECORDED = Path(__file__).parents[3] / "fixtures/opennebula-7.4.0"


def test_a_vm_that_joined_its_group_later_counts() -> None:
    """OpenNebula 7.4 adds VMs to groups while they run: two replicas would else be packed onto one host."""
    document = (RECORDED / "vmgroup.vm-added-later.xml").read_bytes()
    found = ties(parse(b"<VM_GROUP_POOL>%b</VM_GROUP_POOL>" % document))
    assert found.apart[0] == found.apart[1] == found.apart[20] == {"0/front"}
    assert found.together[2] == found.together[3]
    assert found.hosts[3] == {1}


def pool(roles: str, template: str = "") -> Ties:
    group = f"<VM_GROUP><ID>7</ID><ROLES>{roles}</ROLES><TEMPLATE>{template}</TEMPLATE></VM_GROUP>"
    return ties(parse(f"<VM_GROUP_POOL>{group}</VM_GROUP_POOL>"))


def role(name: str, vms: str, inner: str = "") -> str:
    return f"<ROLE><NAME>{name}</NAME><VMS>{vms}</VMS>{inner}</ROLE>"


def test_the_policy_of_a_role_binds_its_own_vms() -> None:
    """Replicas of one role would be packed onto one host, or another role be bound with them."""
    found = pool(
        role("a", "1,2", "<POLICY>ANTI_AFFINED</POLICY>")
        + role("b", "3, 4,x", "<POLICY>AFFINED</POLICY>")
        + role("c", "5", "<POLICY>NONE</POLICY>")
        + role("d", "")
    )
    assert {vm: keys for vm, keys in found.apart.items() if keys} == {1: {"7/a"}, 2: {"7/a"}}
    assert found.together == {3: "7/b", 4: "7/b"}
    assert found.hosts == {}


def test_hosts_of_a_role_bind_its_vms() -> None:
    """A VM would be moved to a host that its group excludes."""
    found = pool(
        role("a", "1", "<HOST_AFFINED>0,4</HOST_AFFINED><HOST_ANTI_AFFINED>5</HOST_ANTI_AFFINED>")
        + role("b", "2")
    )
    assert (found.hosts, found.not_hosts[1], found.not_hosts[2]) == ({1: {0, 4}}, {5}, set())


def test_roles_that_are_tied_to_each_other() -> None:
    """Two roles that must not meet would meet; two that belong together be torn apart."""
    roles = role("a", "1,2") + role("b", "3") + role("c", "4") + role("d", "5")
    lists = "<AFFINED>a, b</AFFINED><AFFINED>c,missing</AFFINED><ANTI_AFFINED>b,c,missing</ANTI_AFFINED>"
    found = pool(roles, lists)
    assert found.together == {1: "7/affined 0", 2: "7/affined 0", 3: "7/affined 0", 4: "7/affined 1"}
    assert {vm: keys for vm, keys in found.apart.items() if keys} == {3: {"7/3-4"}, 4: {"7/3-4"}}
    apart = pool(roles, "<ANTI_AFFINED>a,d</ANTI_AFFINED>").apart
    assert (apart[1], apart[2], apart[5]) == ({"7/1-5"}, {"7/2-5"}, {"7/1-5", "7/2-5"})
