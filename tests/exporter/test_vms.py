"""VMs that are odd: none hides others, and none passes for what it is not."""

from __future__ import annotations

import multiprocessing
import re
import xml.etree.ElementTree as ET
from collections.abc import Collection, Iterable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.collected import Collected
from exporter.exposition import Samples, escape
from exporter.metric_families import FAMILIES, VM
from exporter.vms import flavours
from exporter.vms import read as read_escaped
from onext.oned.elements import split
from onext.oned.escaped import escape as escaped


def read_pool(elements: Iterable[bytes], clusters: Collection[int] = ()) -> Collected:
    """Return what the elements give as an answer of XML-RPC has them."""
    return read_escaped(map(escaped, elements), clusters)


VM_XML = (
    "<VM><ID>7</ID><UID>1</UID><GID>1</GID><UNAME>u</UNAME><GNAME>g</GNAME><NAME>{name}</NAME>"
    "<PERMISSIONS></PERMISSIONS><LAST_POLL>{poll}</LAST_POLL><STATE>{state}</STATE><LCM_STATE>3</LCM_STATE>"
    "<MONITORING></MONITORING><TEMPLATE>{template}<CPU><![CDATA[0.5]]></CPU><MEMORY><![CDATA[512]]></MEMORY>"
    "</TEMPLATE><USER_TEMPLATE>{user}</USER_TEMPLATE><HISTORY_RECORDS></HISTORY_RECORDS></VM>"
)
PLAIN = {"name": "a", "poll": 1, "state": 3, "template": "", "user": ""}


def read(*changes: dict[str, object]) -> tuple[Collected, dict[str, str]]:
    """Return what a pool of such VMs gives, and its samples as text."""
    document = "".join(VM_XML.format(**{**PLAIN, **change}) for change in changes)
    found = read_pool(split([f"<VM_POOL>{document}</VM_POOL>".encode()], "VM"))
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


def test_C7_a_broken_vm_hides_no_other() -> None:
    """One VM that cannot be read made every VM after it vanish, silently: now it is counted."""
    document = VM_XML.format(**{**PLAIN, "state": "x"}) + VM_XML.format(**PLAIN).replace("<ID>7<", "<ID>8<")
    found = read_pool(split([f"<VM_POOL>{document}</VM_POOL>".encode()], "VM"))
    text = found.samples.render(VM).decode()
    assert 'opennebula_vm_state{one_vm_id="8"} 3' in text
    assert 'one_vm_id="7"' not in text
    assert found.errors == 1
    assert "opennebula_vm_total 2" in text


BAD = ["x", "-1", "1e3", "9" * 30, "1_0", "٣", "1 000", "0x10"]


@pytest.mark.parametrize("bad", BAD)
def test_C7_a_value_that_is_no_number_is_no_sample(bad: str) -> None:
    """A disk whose SIZE is no number dropped its whole VM: state, host and owner with it."""
    disks = (
        f"<DISK><DISK_ID>0</DISK_ID><SIZE>{bad}</SIZE></DISK><DISK><DISK_ID>1</DISK_ID><SIZE>2</SIZE></DISK>"
    )
    found, samples = read({"template": disks})
    assert samples['opennebula_vm_state{one_vm_id="7"}'] == "3"
    assert samples['opennebula_vm_disks{one_vm_id="7"}'] == "2"
    assert samples['opennebula_vm_disk_size_bytes{one_vm_id="7",disk_id="1"}'] == str(2 << 20)
    assert 'opennebula_vm_disk_size_bytes{one_vm_id="7",disk_id="0"}' not in samples
    assert found.errors == 1


@pytest.mark.parametrize("bad", ["nan", "inf", "1e999", "x", "9" * 40])
@pytest.mark.parametrize(
    ("key", "metric"), [("CPU", "cpu_ratio"), ("MEMORY", "mem_total_bytes"), ("VCPU", "cpu_vcpus")]
)
def test_C7_the_other_values_of_a_vm_stay(key: str, metric: str, bad: str) -> None:
    """NaN in one place would make every sum of Prometheus NaN; a VM that vanishes is worse."""
    document = VM_XML.format(**PLAIN).replace("<VM><ID>7<", "<VM><ID>8<") + VM_XML.format(**PLAIN)
    if key == "VCPU":
        document = document.replace("</TEMPLATE>", f"<VCPU>{bad}</VCPU></TEMPLATE>", 1)
    else:
        document = re.sub(rf"(<{key}><!.CDATA.)[^\]]*", rf"\g<1>{bad}", document, count=1)
    found = read_pool(split([f"<VM_POOL>{document}</VM_POOL>".encode()], "VM"))
    text = found.samples.render(VM).decode()
    assert f'opennebula_vm_{metric}{{one_vm_id="8"}}' not in text
    assert f'opennebula_vm_{metric}{{one_vm_id="7"}}' in text
    assert 'opennebula_vm_state{one_vm_id="8"} 3\n' in text
    assert found.errors == 1
    assert found.places == {7: -1, 8: -1}


def test_C7_what_is_missing_is_no_sample() -> None:
    """0 bytes of memory would be a figure, and a wrong one."""
    document = re.sub("<MEMORY>.*?</MEMORY>", "", VM_XML.format(**PLAIN))
    found = read_pool([document.encode()])
    assert "mem_total_bytes" not in found.samples.render(VM).decode()
    assert found.errors == 0


def hostile_templates() -> list[str]:
    """Return templates for which a pattern that looks ahead, or has two ways to match, needs minutes."""
    often = "".join(f"<CPU>{n}</CPU>" for n in range(20_000))
    long = "<CPU>" + "a" * 200_000 + "</CPU>"
    values = "<A>1</A>" * 20_000
    return [
        often,
        f"<V>{often}</V>",
        f"<V>{long}{values}</V>",
        f"<V>{long * 3}{values}</V>",
        f"<V>{'<CPU>1</CPU>' * 16}{values}</V>",
        f"<V><CPU><![CDATA[{'a]' * 100_000}]]></CPU>{values}</V>",
    ]


def read_hostile() -> None:
    """Read them, ten VMs of each, and find their memory all the same."""
    for template in hostile_templates():
        document = VM_XML.format(**{**PLAIN, "template": template})
        found = read_pool(split([f"<VM_POOL>{document * 10}</VM_POOL>".encode()], "VM"))
        assert b'opennebula_vm_mem_total_bytes{one_vm_id="7"} 536870912' in found.samples.render(VM)


@pytest.mark.process
def test_S6_hostile_templates_cost_what_their_length_is() -> None:
    """A tenant's template of a few hundred KB must not cost each scrape minutes."""
    child = multiprocessing.get_context("spawn").Process(target=read_hostile)
    child.start()
    child.join(60)  # about a second
    alive = child.is_alive()
    child.kill()
    child.join()
    assert not alive
    assert child.exitcode == 0


@given(st.integers(0, 150))
def test_large_templates_are_read_as_small_ones(more: int) -> None:
    """Which of the two ways a template is read must not be seen in its figures."""
    vector = "<V>" + "<CPU>64</CPU>" * more + "</V>"
    parts = "<DISK><DISK_ID>0</DISK_ID><SIZE>3</SIZE></DISK><NIC><NIC_ID>0</NIC_ID></NIC><VCPU>4</VCPU>"
    assert read({"template": parts + vector})[1] == read({"template": parts})[1]


SCALARS = ("CPU", "MEMORY", "VCPU")
NAMES = st.sampled_from(
    [*SCALARS, "DISK", "NIC", "PCI", "CONTEXT", "TEMPLATE", "DISK_ID", "NIC_ID", "SIZE", "A"]
)
NUMBERS = st.sampled_from(["1", "7", "12"])


def leaf(name: str, value: str) -> str:
    return f"<{name}><![CDATA[{value}]]></{name}>"


@st.composite
def templates(draw: st.DrawFn) -> str:
    """Return a template as oned writes it: CPU, MEMORY and more, and vectors of values of any name."""
    parts = [leaf(name, draw(NUMBERS)) for name in ("CPU", "MEMORY", *draw(st.sets(st.just("VCPU"))))]
    parts += draw(st.lists(st.builds(leaf, st.sampled_from(["A", "SUBMIT_ON_HOLD"]), NUMBERS), max_size=3))
    for name in draw(
        st.lists(st.sampled_from(["DISK", "NIC", "PCI", "CONTEXT", "TEMPLATE", "OS"]), max_size=5)
    ):
        inner = draw(st.lists(st.builds(leaf, NAMES, NUMBERS), min_size=1, max_size=4, unique_by=tag_of))
        parts.append(f"<{name}>{''.join(sorted(inner))}</{name}>")
    return "".join(draw(st.permutations(parts)))


def tag_of(element: str) -> str:
    return element.partition(">")[0]


@given(templates())
def test_templates_read_as_a_parser_reads_them(template: str) -> None:
    """Whatever name a tenant gives to what, the figures are those of the VM itself."""
    document = "<VM>" + VM_XML.format(**PLAIN).partition("<VM>")[2]
    start, end = document.index("<TEMPLATE>") + 10, document.index("</TEMPLATE>")
    document = document[:start] + template + document[end:]
    parsed = ET.fromstring(document)
    found = read_pool([document.encode()])
    text = found.samples.render(VM).decode()
    assert found.errors == 0
    disks = [disk for disk in parsed.findall("TEMPLATE/DISK") if disk.findtext("DISK_ID")]
    nics = [
        nic for tag in ("NIC", "PCI") for nic in parsed.findall(f"TEMPLATE/{tag}") if nic.findtext("NIC_ID")
    ]
    expected = {
        "cpu_ratio": float(parsed.findtext("TEMPLATE/CPU", "")),
        "cpu_vcpus": int(parsed.findtext("TEMPLATE/VCPU", "1")),
        "mem_total_bytes": int(parsed.findtext("TEMPLATE/MEMORY", "")) << 20,
        "disks": len(disks),
        "nics": len(nics),
    }
    for metric, value in expected.items():
        assert f'opennebula_vm_{metric}{{one_vm_id="7"}} {value}\n' in text
    sizes = re.findall(r'disk_size_bytes\{one_vm_id="7",disk_id="(\d+)"\} (\d+)', text)
    assert sizes == [
        (disk.findtext("DISK_ID"), str(int(size) << 20)) for disk in disks if (size := disk.findtext("SIZE"))
    ]


@pytest.mark.parametrize(
    ("records", "host"), [("", "-1"), ("<HISTORY><HID>4</HID><CID>0</CID></HISTORY>", "4")]
)
def test_a_host_in_a_user_template_is_none(records: str, host: str) -> None:
    """A tenant who writes `HID=9` must not be counted on another's host."""
    document = VM_XML.format(**{**PLAIN, "user": leaf("HID", "9")})
    document = document.replace("<HISTORY_RECORDS>", f"<HISTORY_RECORDS>{records}")
    found = read_pool([document.encode()])
    assert found.places == {7: int(host)}
    assert f'opennebula_vm_host_id{{one_vm_id="7"}} {host}\n' in found.samples.render(VM).decode()


def test_clusters(recordings: Path) -> None:
    """An exporter for some clusters serves the VMs on their hosts and no others."""
    document = (recordings / "vmpool.infoextended.raw.xml").read_bytes()
    everything = read_pool(split([document], "VM"))
    some = [read_pool(split([document], "VM"), [cluster]) for cluster in (100, 101)]
    assert [len(one.places) > 0 for one in some] == [True, True]
    placed = {vm for vm, host in everything.places.items() if host >= 0}
    assert set(some[0].places) | set(some[1].places) == placed
    assert not set(some[0].places) & set(some[1].places)


def test_label_values_are_escaped() -> None:
    """The three characters that the text format escapes."""
    assert escape('a\\b"c\nd') == r"a\\b\"c\nd"
    samples = Samples()
    samples.add("opennebula_up", 1, zone='x"\ud800')
    assert samples.render([FAMILIES["opennebula_up"]]).decode().endswith('opennebula_up{zone="x\\"?"} 1\n')
