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


WHOLE_VM = b"""<VM><ID>7</ID><UID>2</UID><GID>3</GID><UNAME>u</UNAME><GNAME>g</GNAME><NAME>web</NAME>
<STATE>8</STATE><LCM_STATE>0</LCM_STATE><PREV_STATE>5</PREV_STATE><RESCHED>1</RESCHED><STIME>100</STIME>
<DEPLOY_ID>one-7</DEPLOY_ID><LOCK><LOCKED>2</LOCKED></LOCK><TEMPLATE><CPU>1.5</CPU><MEMORY>64</MEMORY><VCPU>2</VCPU>
<CONTEXT><A>1</A></CONTEXT><SCHED_ACTION><TIME> +60 </TIME></SCHED_ACTION>
<DISK><DISK_ID>1</DISK_ID><SIZE>10</SIZE><TYPE>file</TYPE><DISK_TYPE>block</DISK_TYPE><TM_MAD>ceph</TM_MAD>
<DATASTORE_ID>4</DATASTORE_ID><IMAGE_ID>6</IMAGE_ID><PERSISTENT>yes</PERSISTENT><TARGET>vda</TARGET></DISK><DISK/>
<NIC><NIC_ID>1</NIC_ID><NETWORK_ID>8</NETWORK_ID><AR_ID>9</AR_ID><NETWORK_MODE>AUTO</NETWORK_MODE><MAC>02:00</MAC>
<IP>10.0.0.1</IP><IP6_LINK>fe80::1</IP6_LINK></NIC><NIC_ALIAS/>
<PCI><NIC_ID>5</NIC_ID></PCI><PCI><ADDRESS>1</ADDRESS></PCI></TEMPLATE><HISTORY_RECORDS><HISTORY><SEQ>4</SEQ>
<HID>11</HID><HOSTNAME>n</HOSTNAME><CID>12</CID><DS_ID>13</DS_ID><VM_MAD>kvm</VM_MAD><TM_MAD>ssh</TM_MAD>
<STIME>14</STIME><ETIME>15</ETIME><ACTION>16</ACTION></HISTORY></HISTORY_RECORDS></VM>"""


def test_every_value_of_a_vm_is_its_own() -> None:
    """Two values that changed places, or one that is always the default, would mislead every part."""
    long = b"<SCHED_ACTION><TIME>" + b"9" * 65 + b"</TIME></SCHED_ACTION><DISK><DISK_ID>1"
    assert parse.vm(WHOLE_VM.replace(b"<DISK><DISK_ID>1", long)) == model.Vm(
        7, "web", 2, 3, "u", "g", state=8, lcm_state=0, previous_state=5, began=100.0, deploy_id="one-7",
        locked=2, resched=True, cpu=1.5, memory=64, vcpu=2,
        nics=(
            model.Nic(1, "NIC", 8, 9, "auto", "02:00", (("IP", "10.0.0.1"),)),
            model.Nic(-1, "NIC_ALIAS", -1, -1, "", "", ()),
            model.Nic(5, "PCI", -1, -1, "", "", ()),
        ),
        disks=(
            model.Disk(1, 10, "FILE", "BLOCK", "ceph", 4, 6, persistent=True, target="vda"),
            model.Disk(-1, 0, "", "", "", -1, -1, persistent=False, target=""),
        ),
        actions=("+60", "9" * 64),
        template={"CPU": "1.5", "MEMORY": "64", "VCPU": "2", "PCI": {"ADDRESS": "1"}},
        stay=model.Stay(4, 11, "n", 12, 13, "kvm", "ssh", 14.0, 15.0, 16),
    )  # fmt: skip


LEAST = b"<%b><ID>7</ID><UID>2</UID><GID>3</GID><NAME>a</NAME><STATE>1</STATE><LCM_STATE>0</LCM_STATE>%b</%b>"


def test_a_vm_that_was_never_placed_is_nowhere() -> None:
    """A pending VM would count on a host, as moved, or as large."""
    records = b"<HISTORY_RECORDS><HISTORY><SEQ>0</SEQ><HID>1</HID></HISTORY></HISTORY_RECORDS>"
    least = model.Vm(7, "a", 2, 3, state=1, lcm_state=0, vcpu=1)
    assert parse.vm(LEAST % (b"VM", b"", b"VM")) == least
    placed = parse.vm(LEAST % (b"VM", records, b"VM"))
    assert placed.stay == model.Stay(0, 1, "", -1, -1, "", "", 0.0, 0.0, 0)


@pytest.mark.parametrize(
    ("cpus", "read"), [(b"0", 1), (b"1", 1), (b"-1", 1), (b"1048576", 1 << 20), (b"x", 1)]
)
def test_a_vm_has_at_least_one_processor(cpus: bytes, read: int) -> None:
    """Its load would be divided by nothing."""
    content = b"<TEMPLATE><VCPU>%b</VCPU></TEMPLATE>" % cpus
    assert parse.vm(LEAST % (b"VM", content, b"VM")).vcpu == read


def test_a_template_of_too_many_attributes_is_not_read() -> None:
    """One tenant's template would take the memory and time of all parts."""
    most = b"<TEMPLATE>%b</TEMPLATE>" % b"".join(b"<A%d>1</A%d>" % (n, n) for n in range(2001))
    assert len(parse.vm(LEAST % (b"VM", most, b"VM")).template) == 2001
    more = most.replace(b"<TEMPLATE>", b"<TEMPLATE><B>1</B>")
    found = parse.safely(parse.vm, model.Vm, LEAST % (b"VM", more, b"VM"))
    assert found is not None
    assert found.problem == "Unreadable: more than 2000 attributes in its template"


def test_every_value_of_a_host_is_its_own() -> None:
    """Its capacity would be that of another host, or what it uses."""
    element = b"""<HOST><ID>7</ID><NAME>a</NAME><STATE>2</STATE><PREV_STATE>3</PREV_STATE><CLUSTER_ID>4</CLUSTER_ID>
<CLUSTER>c</CLUSTER><IM_MAD>kvm</IM_MAD><VM_MAD>qemu</VM_MAD><HOST_SHARE><TOTAL_CPU>800</TOTAL_CPU>
<MAX_CPU>700</MAX_CPU><CPU_USAGE>10</CPU_USAGE><TOTAL_MEM>90</TOTAL_MEM><MAX_MEM>80</MAX_MEM><MEM_USAGE>20</MEM_USAGE>
<DATASTORES><MAX_CPU>1</MAX_CPU></DATASTORES></HOST_SHARE><VMS><ID>5</ID><ID>6</ID></VMS>
<TEMPLATE><ARCH>x</ARCH><VM><ID>1</ID></VM><VM><ID>2</ID></VM></TEMPLATE></HOST>"""
    whole = model.Host(
        7, "a", 2, 3, 4, "c", "kvm", "qemu", 800, 700, 10, 90, 80, 20, frozenset({5, 6}), 2, {"ARCH": "x"}
    )
    assert parse.host(element) == whole
    for count, read in ((b"0", 0), (b"1048576", 1 << 20), (b"1048577", 2), (b"-1", 2)):
        told = parse.host(element.replace(b"<ARCH>", b"<TOTAL_WILDS>%b</TOTAL_WILDS><ARCH>" % count))
        assert told.wild_vms == read, "the host's own count of VMs that are not OpenNebula's"


def test_every_value_of_a_datastore_is_its_own() -> None:
    """Free space would be taken for used space, and an image datastore for one of VMs."""
    element = b"""<DATASTORE><ID>7</ID><NAME>a</NAME><TYPE>1</TYPE><TM_MAD>ssh</TM_MAD><TOTAL_MB>9</TOTAL_MB>
<FREE_MB>8</FREE_MB><USED_MB>2</USED_MB><CLUSTERS><ID>0</ID></CLUSTERS></DATASTORE>"""
    assert parse.datastore(element) == model.Datastore(7, "a", 1, "ssh", frozenset({0}), 9, 8, 2)
    assert parse.datastore(b"<DATASTORE><ID>7</ID><NAME>a</NAME></DATASTORE>") == model.Datastore(7, "a")


def test_every_value_of_an_image_is_its_own() -> None:
    """A portal would offer an image that is in use, or of another size."""
    element = LEAST % (
        b"IMAGE",
        b"<TYPE>5</TYPE><SIZE>6</SIZE><DATASTORE_ID>8</DATASTORE_ID><RUNNING_VMS>9</RUNNING_VMS><PERSISTENT>1</PERSISTENT>",
        b"IMAGE",
    )
    assert parse.image(element) == model.Image(7, "a", 2, 3, 1, 5, 6, 8, 9, persistent=True)
    assert parse.image(LEAST % (b"IMAGE", b"", b"IMAGE")) == model.Image(7, "a", 2, 3, 1)
    assert parse.image(b"<IMAGE><ID>7</ID><NAME>a</NAME><UID>2</UID><GID>3</GID></IMAGE>").state == -1


@pytest.mark.parametrize(
    ("permissions", "group", "others"),
    [
        (b"", True, True),
        (b"<GROUP_M>0</GROUP_M><GROUP_A>0</GROUP_A><OTHER_M>0</OTHER_M><OTHER_A>0</OTHER_A>", False, False),
        (b"<GROUP_M>1</GROUP_M><GROUP_A>0</GROUP_A><OTHER_M>0</OTHER_M><OTHER_A>0</OTHER_A>", True, False),
        (b"<GROUP_M>0</GROUP_M><GROUP_A>1</GROUP_A><OTHER_M>0</OTHER_M><OTHER_A>0</OTHER_A>", True, False),
        (b"<GROUP_M>0</GROUP_M><GROUP_A>0</GROUP_A><OTHER_M>1</OTHER_M><OTHER_A>0</OTHER_A>", False, True),
        (b"<GROUP_M>0</GROUP_M><GROUP_A>0</GROUP_A><OTHER_M>0</OTHER_M>", False, True),
    ],
)
def test_a_network_that_others_may_change_is_known(permissions: bytes, group: bool, others: bool) -> None:
    """Whoever may change a network's ranges chooses which addresses Prometheus asks."""
    found = parse.network(LEAST % (b"VNET", b"<PERMISSIONS>%b</PERMISSIONS>" % permissions, b"VNET"))
    assert (found.group_manages, found.others_manage) == (group, others)
    assert (found.uid, found.gid, found.parent_id, found.ranges) == (2, 3, -1, ())


def test_every_value_of_a_range_is_its_own() -> None:
    """An address would be taken for one that the network gave to the VM."""
    content = b"""<PARENT_NETWORK_ID>1</PARENT_NETWORK_ID><AR_POOL><AR><AR_ID>4</AR_ID><SIZE>2</SIZE><TYPE>ip4_6</TYPE>
<IP>10.0.0.1</IP><IP6>2001:db8::1</IP6><GLOBAL_PREFIX>2001:db8::</GLOBAL_PREFIX><ULA_PREFIX>fd00::</ULA_PREFIX>
<MAC>02:00</MAC><EXTERNAL_IP>192.0.2.1</EXTERNAL_IP><ALLOCATED> 0 7 1 7 0 8 2 9</ALLOCATED></AR><AR/></AR_POOL>"""
    found = parse.network(LEAST % (b"VNET", content, b"VNET"))
    assert found.parent_id == 1
    assert found.ranges == (
        model.AddressRange(
            4, 2, "IP4_6", "10.0.0.1", "2001:db8::1", "2001:db8::", "fd00::", "02:00", "192.0.2.1",
            {7: frozenset({0, 1}), 8: frozenset({0})},  # index 2 is beyond the range
        ),
        model.AddressRange(-1, 0),
    )  # fmt: skip


@pytest.mark.parametrize("allocated", [b"0", b"0 7 1", b"0 x", "0 ٣".encode(), b"0 " + b"1" * 20, b"0 -1"])
def test_a_network_whose_leases_cannot_be_read_is_unknown(allocated: bytes) -> None:
    """A guess at who has an address would open it to another tenant's VM."""
    content = b"<AR_POOL><AR><SIZE>2</SIZE><ALLOCATED>%b</ALLOCATED></AR></AR_POOL>" % allocated
    found = parse.safely(parse.network, model.Network, LEAST % (b"VNET", content, b"VNET"))
    assert found is not None
    assert "not pairs of numbers" in found.problem
    longest = content.replace(allocated, b"0 " + b"1" * 19)
    assert parse.network(LEAST % (b"VNET", longest, b"VNET")).ranges[0].owners == {int("1" * 19): {0}}


def test_a_vm_that_cannot_be_read_still_names_its_host() -> None:
    """Its host would be switched off, or a person would search in the wrong place."""
    records = (
        b"<STATE>x</STATE><TEMPLATE><HID>4</HID></TEMPLATE><HISTORY_RECORDS><HISTORY><SEQ>0</SEQ><HID>5</HID></HISTORY>"
        b"<HISTORY><SEQ>1</SEQ><HID><![CDATA[6]]></HID></HISTORY></HISTORY_RECORDS>"
    )
    found = parse.safely(parse.vm, model.Vm, LEAST % (b"VM", records, b"VM"))
    assert found is not None
    assert (found.id, found.name, found.named_host, found.state) == (7, "a", 6, model.UNKNOWN)
    forged = b"<STATE>x</STATE><USER_TEMPLATE><HISTORY_RECORDS><HID>4</HID></HISTORY_RECORDS></USER_TEMPLATE>"
    for end in (b"<HISTORY_RECORDS/>", b"<HISTORY_RECORDS></HISTORY_RECORDS>"):
        nowhere = parse.safely(parse.vm, model.Vm, LEAST % (b"VM", forged + end, b"VM"))
        assert nowhere is not None
        assert nowhere.named_host == -1
    without = parse.safely(parse.vm, model.Vm, LEAST % (b"VM", b"<STATE>x</STATE><HID>4</HID>", b"VM"))
    assert without is not None
    assert without.named_host == -1
    assert parse.safely(parse.vm, model.Vm, b"<VM>?</VM>") is None
