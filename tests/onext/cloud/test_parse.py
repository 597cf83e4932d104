"""Objects of oned's pools as values: what is read is what oned wrote, and one bad object harms no other."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from onext.cloud import model, parse
from onext.oned.elements import split
from onext.oned.objects import Vm
from onext.xml import parse as xml

FIXTURES = Path(__file__).parents[2] / "fixtures/opennebula-7.0.2"
SHARED = Path(os.environ.get("ONEXT_SHARED", "../shared")) / "recordings"
RECORDINGS = [FIXTURES, *sorted(SHARED.glob("opennebula-*"))]

VM = b"""<VM><ID>7</ID><UID>2</UID><GID>1</GID><UNAME>u</UNAME><GNAME>g</GNAME><NAME>web</NAME><STATE>%b</STATE>
<LCM_STATE>3</LCM_STATE><PREV_STATE>3</PREV_STATE><RESCHED>0</RESCHED><STIME>100</STIME><DEPLOY_ID/>%b
<TEMPLATE><CPU>%b</CPU><MEMORY>64</MEMORY><DISK><DISK_ID>0</DISK_ID><SIZE>ten</SIZE></DISK>
<NIC><NIC_ID>0</NIC_ID><IP>10.0.0.1</IP><NETWORK_ID>4</NETWORK_ID><AR_ID>1</AR_ID></NIC></TEMPLATE>
<USER_TEMPLATE><STATE>6</STATE></USER_TEMPLATE><HISTORY_RECORDS><HISTORY><SEQ>0</SEQ><HID>1</HID><CID>5</CID></HISTORY>
<HISTORY><SEQ>1</SEQ><HID>%b</HID><CID>9</CID><TM_MAD>ssh</TM_MAD></HISTORY></HISTORY_RECORDS></VM>"""


def one(state: bytes = b"3", lock: bytes = b"", cpu: bytes = b"0.5", host: bytes = b"3") -> model.Vm:
    """Read a VM."""
    found = parse.safely(parse.vm, model.Vm, VM % (state, lock, cpu, host))
    assert found is not None
    return found


def test_a_vm_is_read_whole() -> None:
    """Every part decides by these values: a wrong host or lease moves or scrapes the wrong VM."""
    vm = one(lock=b"<LOCK><LOCKED>1</LOCKED></LOCK>")
    assert (vm.id, vm.name, vm.cpu, vm.memory, vm.locked, vm.running) == (7, "web", 0.5, 64, 1, True)
    assert (vm.host_id, vm.cluster_id, vm.stay and vm.stay.tm_mad) == (3, 9, "ssh")
    assert (vm.nics[0].addresses, vm.nics[0].network_id, vm.nics[0].address_range) == (
        (("IP", "10.0.0.1"),),
        4,
        1,
    )
    assert vm.disks[0].size == 0  # a size that is no number costs the size, not the VM


@pytest.mark.parametrize("wrong", [{"state": b"x"}, {"cpu": b"nan"}, {"cpu": b"9e999"}, {"host": b"a"}])
def test_C7_a_vm_that_cannot_be_read_is_there_and_unknown(wrong: dict[str, bytes]) -> None:
    """A VM that vanished from the snapshot would make its host look empty, and be switched off with it."""
    vm = one(**wrong)
    assert vm.id == 7
    assert vm.problem
    assert vm.state == model.UNKNOWN
    assert not vm.running


def test_C7_a_state_of_a_newer_opennebula_is_a_number() -> None:
    """One VM in a state that this version does not know would stop every part for the whole cloud."""
    vm = one(state=b"99")
    assert (vm.state, vm.problem, vm.running) == (99, "", False)


def test_a_lock_that_cannot_be_read_is_a_lock() -> None:
    """A VM that its owner locked would be moved."""
    assert one(lock=b"<LOCK><LOCKED>?</LOCKED></LOCK>").locked == 4


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (b"<RAW><DATA><![CDATA[&lt;hostdev]]></DATA></RAW><RAW><DATA>x</DATA></RAW>", True),
        (b"<RAW><DATA>HostDev</DATA><DATA>x</DATA></RAW>", True),
        (b"<RAW>hostdev</RAW>", True),
        (b"<RAW><TYPE>kvm</TYPE><DATA>x</DATA></RAW>", False),
        (b"<NOTE>hostdev</NOTE>", False),
    ],
)
def test_a_device_of_the_host_is_seen_in_any_raw(raw: bytes, expected: bool) -> None:
    """The last RAW of a template would hide the others, and a migration fail or take the device away."""
    element = (VM % (b"3", b"", b"1", b"3")).replace(b"<STATE>6</STATE></USER", raw + b"</USER")
    assert parse.vm(element).passes_device is expected


@pytest.mark.parametrize(("share", "cpu"), [(b"<MAX_CPU>-50</MAX_CPU>", -50), (b"", 0), (b"<MAX_CPU/>", 0)])
def test_the_capacity_of_a_host_is_what_oned_writes(share: bytes, cpu: int) -> None:
    """A host with more reserved than it has would count as one of unknown size."""
    element = b"<HOST><ID>1</ID><NAME>a</NAME><STATE>2</STATE><HOST_SHARE>%b</HOST_SHARE></HOST>" % share
    assert parse.host(element).max_cpu == cpu


def test_C7_a_host_whose_capacity_cannot_be_read_is_unknown() -> None:
    """It would count as a host without room, and be emptied."""
    element = b"<HOST><ID>1</ID><NAME>a</NAME><STATE>2</STATE><CLUSTER_ID>100</CLUSTER_ID><HOST_SHARE><MAX_MEM>nan</MAX_MEM></HOST_SHARE></HOST>"
    found = parse.safely(parse.host, model.Host, element)
    assert found is not None
    assert (found.name, found.cluster_id) == ("a", 100)
    assert "MAX_MEM is 'nan'" in found.problem


def test_a_host_of_vms_that_cannot_be_read_is_not_empty() -> None:
    """The planner would power off a host because its VM was unreadable, or missing from the VM pool."""
    from onext.cloud.snapshot import Cloud

    host = model.Host(3, vm_ids=frozenset({7, 8}))
    cloud = Cloud.of([host], [one(state=b"x"), one()])
    assert cloud.unaccounted(host) == {8}
    assert Cloud.of([host], [one(cpu=b"x")]).unaccounted(host) == {7, 8}


def test_leases_name_the_vm() -> None:
    """A target is only an address that the network leased to this very VM."""
    pool = (FIXTURES / "vnetpool.xml").read_bytes()
    network = parse.network(next(split([pool], "VNET")))
    assert network.ranges[0].owners[(1 << 36) | 12] == {12}
    assert (12, 12) in network.ranges[0].leases
    assert not any(index == 11 for index, _ in network.ranges[0].leases)
    assert network.ranges[0].ip == "10.10.0.10"
    assert not network.others_manage


@pytest.mark.parametrize("folder", RECORDINGS, ids=lambda folder: folder.name)
def test_recorded_vms_are_read_as_an_xml_parser_reads_them(folder: Path) -> None:
    """A reader of bytes that is wrong about real answers would be wrong everywhere at once."""
    pool = (folder / "vmpool.infoextended.xml").read_bytes()
    read = 0
    for element in split([pool], "VM"):
        ours, theirs = parse.vm(element), Vm.of(xml(element))
        assert (ours.id, ours.name, ours.uid, ours.state) == (
            theirs.id,
            theirs.name,
            theirs.uid,
            theirs.state,
        )
        assert ours.host_id == theirs.host_id
        assert ours.user_template == theirs.user_template
        typed = {
            "CONTEXT",
            "DISK",
            "NIC",
            "NIC_ALIAS",
            "SECURITY_GROUP_RULE",
            "SCHED_ACTION",
            "NIC_DEFAULT",
            "SNAPSHOT",
        }
        assert ours.template == {k: v for k, v in theirs.template.items() if k not in typed}
        read += 1
    assert read > 5


@pytest.mark.parametrize("folder", RECORDINGS, ids=lambda folder: folder.name)
@pytest.mark.parametrize(
    ("file", "tag", "read"),
    [
        ("hostpool.xml", "HOST", parse.host),
        ("clusterpool.xml", "CLUSTER", parse.cluster),
        ("datastorepool.xml", "DATASTORE", parse.datastore),
        ("vnetpool.xml", "VNET", parse.network),
    ],
)
def test_recorded_pools_are_read(folder: Path, file: str, tag: str, read: object) -> None:
    """Each recorded object of each release has its id and name."""
    assert callable(read)
    document = (folder / file).read_bytes()
    found = [read(element) for element in split([document], tag)]
    names = [element.findtext("NAME") for element in xml(document).iterfind(tag)]
    assert [item.name for item in found] == names
    assert found


def test_recorded_images_are_read() -> None:
    """A portal would show no image, or the wrong state and size."""
    pool = (FIXTURES.parent / "opennebula-7.4.0/imagepool.xml").read_bytes()
    found = [parse.safely(parse.image, model.Image, element) for element in split([pool], "IMAGE")]
    assert found
    assert [(str(image.id), image.name, str(image.size), str(image.state)) for image in found if image] == [
        tuple(one.findtext(tag) for tag in ("ID", "NAME", "SIZE", "STATE"))
        for one in xml(pool).findall("IMAGE")
    ]
    assert not any(image.problem for image in found if image)


def test_what_oned_has_not_written_yet_has_a_value_that_means_so() -> None:
    """A host that was never monitored would seem to be in use, and a cluster without a plan to have one."""
    host = parse.host(b"<HOST><ID>7</ID><NAME>a</NAME><STATE>0</STATE></HOST>")
    assert (host.previous_state, host.cluster_id, host.total_cpu, host.max_cpu, host.cpu_usage) == (
        -1,
        -1,
        0,
        0,
        0,
    )
    assert (host.total_memory, host.max_memory, host.memory_usage, host.wild_vms) == (0, 0, 0, 0)
    assert (host.cluster, host.vm_mad, len(host.vm_ids), len(host.template)) == ("", "", 0, 0)
    cluster = parse.cluster(b"<CLUSTER><ID>7</ID><NAME>a</NAME></CLUSTER>")
    assert (cluster.plan_state, len(cluster.host_ids), len(cluster.template)) == (-1, 0, 0)
    begun = parse.cluster(b"<CLUSTER><ID>7</ID><NAME>a</NAME><PLAN><STATE>0</STATE></PLAN></CLUSTER>")
    assert begun.plan_state == 0


def test_a_vm_on_its_first_host_has_a_place() -> None:
    """A VM that never moved would be on no host: power switches its host off."""
    first = (VM % (b"3", b"", b"0.5", b"3")).replace(
        b"<HISTORY><SEQ>0</SEQ><HID>1</HID><CID>5</CID></HISTORY>\n", b""
    )
    found = parse.safely(parse.vm, model.Vm, first)
    assert found is not None
    assert (found.host_id, found.cluster_id) == (3, 9)
