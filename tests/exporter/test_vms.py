"""VMs that are odd: none hides others, and none passes for what it is not."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from exporter.exposition import Samples, escape
from exporter.families import FAMILIES, VM
from exporter.vms import Reader, Vms, flavours
from onext.oned.elements import split

VM_XML = (
    "<VM><ID>7</ID><UID>1</UID><GID>1</GID><UNAME>u</UNAME><GNAME>g</GNAME><NAME>{name}</NAME>"
    "<PERMISSIONS></PERMISSIONS><LAST_POLL>{poll}</LAST_POLL><STATE>{state}</STATE><LCM_STATE>3</LCM_STATE>"
    "<MONITORING></MONITORING><TEMPLATE>{template}<CPU><![CDATA[0.5]]></CPU><MEMORY><![CDATA[512]]></MEMORY>"
    "</TEMPLATE><USER_TEMPLATE>{user}</USER_TEMPLATE><HISTORY_RECORDS></HISTORY_RECORDS></VM>"
)
PLAIN = {"name": "a", "poll": 1, "state": 3, "template": "", "user": ""}


def read(*changes: dict[str, object], reader: Reader | None = None) -> tuple[Vms, dict[str, str]]:
    """Return what a pool of such VMs gives, and its samples as text."""
    document = "".join(VM_XML.format(**{**PLAIN, **change}) for change in changes)
    found = (reader or Reader()).read(split([f"<VM_POOL>{document}</VM_POOL>".encode()], "VM"))
    lines = found.samples.render(VM).decode().splitlines()
    return found, dict(line.rsplit(" ", 1) for line in lines if not line.startswith("#"))


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("3", "3"),
        (" 2.5 ", "2.5"),
        ("-4", "-4"),
        ("green", "-1"),
        ("", "-1"),
        ("nan", "-1"),
        ("inf", "-1"),
        ("1e400", "-1"),
        ("1_000", "-1"),
        ("0x10", "-1"),
        ("1\n# TYPE x counter", "-1"),
        ("٣", "-1"),
    ],
)
def test_flavours(value: str, expected: str) -> None:
    """A FLAVOURS that is no number made the reference's whole scrape fail."""
    xml = f"<FLAVOURS><![CDATA[{value}]]></FLAVOURS>".encode()
    assert flavours(b"<A>1</A>" + xml) == expected.encode()
    assert flavours(b"<A><FLAVOURS>9</FLAVOURS></A>") == b"-1"
    assert flavours(b"") == b"-1"


def test_names_are_escaped() -> None:
    """A quote or line feed in a VM's name would break the page for everybody."""
    _, samples = read({"name": "a&amp;&quot;b&#10;c\\"})
    assert samples['opennebula_vm_info{one_vm_id="7",name="a&\\"b\\nc\\\\",user="u",group="g"}'] == "1"


def test_what_is_nested_in_a_tenant_s_vector_does_not_count() -> None:
    """`CONTEXT = [ CPU = 64, DISK_ID = 3 ]` must not look like 64 CPUs or a disk."""
    nested = "<CONTEXT><CPU>64</CPU><VCPU>9</VCPU><DISK_ID>3</DISK_ID><MEMORY>1</MEMORY></CONTEXT>"
    _, samples = read({"template": nested})
    assert samples['opennebula_vm_cpu_ratio{one_vm_id="7"}'] == "0.5"
    assert samples['opennebula_vm_cpu_vcpus{one_vm_id="7"}'] == "1"
    assert samples['opennebula_vm_mem_total_bytes{one_vm_id="7"}'] == str(512 << 20)
    assert samples['opennebula_vm_disks{one_vm_id="7"}'] == "0"


def test_passed_through_interfaces_count_and_aliases_do_not() -> None:
    """That is how OpenNebula's exporter counts them."""
    parts = (
        "<NIC><NIC_ID>0</NIC_ID></NIC><NIC_ALIAS><NIC_ID>1</NIC_ID></NIC_ALIAS>"
        "<PCI><NIC_ID>2</NIC_ID></PCI><PCI><VENDOR>8086</VENDOR></PCI>"
    )
    _, samples = read({"template": parts})
    assert samples['opennebula_vm_nics{one_vm_id="7"}'] == "2"


@pytest.mark.parametrize(
    "change", [{"state": "x"}, {"template": "<DISK><DISK_ID>x</DISK_ID><SIZE>1</SIZE></DISK>"}]
)
def test_a_broken_vm_hides_no_other(change: dict[str, object]) -> None:
    """One VM that cannot be read made every VM after it vanish, silently: now it is counted."""
    document = VM_XML.format(**{**PLAIN, **change}) + VM_XML.format(**PLAIN).replace("<ID>7<", "<ID>8<")
    found = Reader().read(split([f"<VM_POOL>{document}</VM_POOL>".encode()], "VM"))
    text = found.samples.render(VM).decode()
    assert 'opennebula_vm_state{one_vm_id="8"} 3' in text
    assert 'one_vm_id="7"' not in text
    assert found.errors == 1
    assert "opennebula_vm_total 2" in text


def test_memory_of_a_vm_is_renewed_when_its_bytes_change() -> None:
    """A rename, a resize, a migration must show in the next scrape; state always."""
    reader = Reader()
    read({}, reader=reader)
    _, samples = read({"state": 8, "poll": 2}, reader=reader)
    assert samples['opennebula_vm_state{one_vm_id="7"}'] == "8"
    _, samples = read({"name": "b"}, reader=reader)
    assert any('name="b"' in series for series in samples)
    _, samples = read({"user": "<FLAVOURS>5</FLAVOURS>"}, reader=reader)
    assert samples['opennebula_vm_ut_flavours{one_vm_id="7"}'] == "5"


def test_a_second_scrape_says_the_same(recordings: Path) -> None:
    """What is remembered must be what would be read again, for every recorded VM."""
    document = (recordings / "vmpool.infoextended.raw.xml").read_bytes()
    reader = Reader()
    first = reader.read(split([document], "VM")).samples.render(VM)
    polled = re.sub(rb"<LAST_POLL>\d+<", b"<LAST_POLL>9<", document)
    assert reader.read(split([polled], "VM")).samples.render(VM) == first


def test_clusters(recordings: Path) -> None:
    """An exporter for some clusters serves the VMs on their hosts and no others."""
    document = (recordings / "vmpool.infoextended.raw.xml").read_bytes()
    everything = Reader().read(split([document], "VM"))
    some = [Reader([cluster]).read(split([document], "VM")) for cluster in (100, 101)]
    assert [len(one.hosts) > 0 for one in some] == [True, True]
    placed = {vm for vm, host in everything.hosts.items() if host >= 0}
    assert set(some[0].hosts) | set(some[1].hosts) == placed
    assert not set(some[0].hosts) & set(some[1].hosts)


def test_label_values_are_escaped() -> None:
    """The three characters that the text format escapes."""
    assert escape('a\\b"c\nd') == r"a\\b\"c\nd"
    samples = Samples()
    samples.add("opennebula_up", 1, zone='x"\ud800')
    assert samples.render([FAMILIES["opennebula_up"]]).decode().endswith('opennebula_up{zone="x\\"?"} 1\n')
