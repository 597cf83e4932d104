"""VM groups: which VMs must be apart, together, or on certain hosts."""

from __future__ import annotations

from pathlib import Path

from onext.hosts.inventory.groups import ties
from onext.xml import parse

RECORDED = Path(__file__).parents[3] / "fixtures/opennebula-7.4.0"


def test_a_vm_that_joined_its_group_later_counts() -> None:
    """OpenNebula 7.4 adds VMs to groups while they run: two replicas would else be packed onto one host."""
    document = (RECORDED / "vmgroup.vm-added-later.xml").read_bytes()
    found = ties(parse(b"<VM_GROUP_POOL>%b</VM_GROUP_POOL>" % document))
    assert found.apart[0] == found.apart[1] == found.apart[20] == {"0/front"}
    assert found.together[2] == found.together[3]
    assert found.hosts[3] == {1}
