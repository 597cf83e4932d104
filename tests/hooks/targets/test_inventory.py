"""VMs and hosts as they are read from oned's pools: the recordings, and what is broken or hostile."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest

from hooks.targets import inventory
from hooks.targets.inventory import Host, Vm
from onext.cloud import model as cloud
from onext.cloud import parse
from onext.oned.elements import split
from tests.exporter.answers import compact

RUNNING = {3, 4, 17, 24, 25, 26, 57, 59, 62, 66, 69}  # LCM_STATE, read in oned's VirtualMachine.h


def vms(document: bytes) -> list[bytes]:
    return list(split([document], "VM"))


def read(elements: list[bytes]) -> list[Vm]:
    """Return the VMs of a pool in which none is broken."""
    found = [parse.vm(element) for element in elements]
    return list(inventory.vms(found))


def test_recorded_read(recordings: Path) -> None:
    """Of all recorded VMs just those that run and have PROMETHEUS_EXPORTER are targets."""
    found = {vm.id: vm for vm in read(vms((recordings / "vmpool.infoextended.raw.xml").read_bytes()))}
    assert 0 in found
    assert 15 not in found  # on hold, though it has the attribute
    web = found[0]
    assert (web.name, web.host, web.cluster, web.wanted, web.labels) == (
        "web-0",
        0,
        100,
        "9101",
        "app=web,tier=front",
    )
    assert list(map(str, web.addresses)) == ["10.10.0.10"]


@pytest.mark.parametrize(
    "state", ["poweroff", "suspended", "stopped", "undeployed", "hold", "pending", "done"]
)
def test_vms_that_do_not_run_are_no_targets(recordings: Path, state: str) -> None:
    """A VM that was stopped must vanish from Prometheus, in each of its states."""
    document = (recordings / f"vm.{state}.xml").read_bytes()
    document = document.replace(
        b"<USER_TEMPLATE>", b"<USER_TEMPLATE><PROMETHEUS_EXPORTER>9100</PROMETHEUS_EXPORTER>"
    )
    assert read(vms(b"<VM_POOL>" + document + b"</VM_POOL>")) == []


@pytest.mark.parametrize("lcm_state", range(72))
def test_a_vm_that_migrates_live_stays(recordings: Path, lcm_state: int) -> None:
    """Targets that flap during a migration or a backup lose samples and raise alerts."""
    document = (recordings / "vm.active-with-exporter-and-vmgroup.xml").read_bytes()
    document = re.sub(rb"<LCM_STATE>\d+<", b"<LCM_STATE>%d<" % lcm_state, document)
    assert len(read(vms(b"<VM_POOL>" + document + b"</VM_POOL>"))) == (lcm_state in RUNNING)


def test_all_kinds_of_addresses() -> None:
    """Aliases, external and IPv6 addresses are the VM's own; link-local ones are of no use."""
    document = b"""<VM_POOL><VM><ID>1</ID><UID>2</UID><GID>1</GID><NAME>a</NAME><STATE>3</STATE><LCM_STATE>3</LCM_STATE><TEMPLATE>
      <CONTEXT><ETH0_IP>1.1.1.1</ETH0_IP><IP>1.1.1.2</IP></CONTEXT>
      <NIC><IP>10.0.0.1</IP><NETWORK_ID>1</NETWORK_ID><IP6_LINK>fe80::1</IP6_LINK></NIC>
      <NIC_ALIAS><IP6_GLOBAL>2001:db8::1</IP6_GLOBAL><EXTERNAL_IP>203.0.113.1</EXTERNAL_IP><IP>nonsense</IP></NIC_ALIAS>
      </TEMPLATE><USER_TEMPLATE><PROMETHEUS_EXPORTER>1</PROMETHEUS_EXPORTER></USER_TEMPLATE><HISTORY_RECORDS/></VM></VM_POOL>"""
    (vm,) = read(vms(document))
    assert list(map(str, vm.addresses)) == ["10.0.0.1", "2001:db8::1", "203.0.113.1"]
    assert (vm.host, vm.cluster) == (-1, -1)


def test_recorded_hosts(recordings: Path) -> None:
    """A host that is off or in error leaves the files; a disabled one is monitored and stays."""
    pool = split([(recordings / "hostpool.raw.xml").read_bytes()], "HOST")
    found = {host.id: host.monitored for host in inventory.hosts(map(parse.host, pool))}
    assert found == {**dict.fromkeys(range(7), True), 7: False, 8: False}  # 7 is OFFLINE, 8 in ERROR


@pytest.mark.parametrize("damage", [(b"<UID>0</UID>", b""), (b"<STATE>3<", b"<STATE>x<"), (b"</NAME>", b"")])
def test_C7_a_broken_vm_costs_no_other_its_target(recordings: Path, damage: tuple[bytes, bytes]) -> None:
    """Else one VM could freeze the targets of everybody."""
    whole = compact((recordings / "vm.active-with-exporter-and-vmgroup.xml").read_bytes())
    read_safely = [parse.safely(parse.vm, cloud.Vm, one) for one in (whole.replace(*damage, 1), whole)]
    assert [vm.id for vm in inventory.vms(one for one in read_safely if one)] == [0]


def test_D6_nonsense_in_a_disk_or_elsewhere_costs_no_target(recordings: Path) -> None:
    """A disk SIZE that is not a number would take the whole VM out of the scrape."""
    whole = compact((recordings / "vm.active-with-exporter-and-vmgroup.xml").read_bytes())
    odd = re.sub(rb"<(SIZE|VCPU|CID|NIC_ID)>[^/]*</", rb"<\1><![CDATA[ten]]></", whole)
    odd = odd.replace(b"<TEMPLATE>", b"<TEMPLATE><DISK></DISK><NIC>5</NIC><PCI/><NIC><IP>x</IP></NIC>", 1)
    assert odd.count(b"ten") > 2
    (vm,) = read([odd])
    assert (vm.wanted, vm.cluster, list(map(str, vm.addresses))) == ("9101", -1, ["10.10.0.10"])


def test_S3_what_a_tenant_writes_is_bounded(recordings: Path) -> None:
    """A huge or nested value of one VM would cost memory and time in each pass, for everyone."""
    whole = compact((recordings / "vm.active-with-exporter-and-vmgroup.xml").read_bytes())
    huge = re.sub(rb"<PROMETHEUS_EXPORTER>.*?</", b"<PROMETHEUS_EXPORTER>" + b"9" * 200_000 + b"</", whole)
    huge = re.sub(rb"<NAME>.*?</NAME>", b"<NAME>" + b"n\n" * 5000 + b"</NAME>", huge, count=1)
    nics = b"".join(
        b"<NIC><IP>10.1.%d.%d</IP></NIC>" % (number // 250, number % 250) for number in range(1000)
    )
    (vm,) = read([huge.replace(b"<TEMPLATE>", b"<TEMPLATE>" + nics, 1)])
    assert (len(vm.wanted), len(vm.name), len(vm.addresses)) == (1025, 128, 64)
    assert vm.name.isprintable()
    nested = re.sub(rb"(<PROMETHEUS_EXPORTER>).*?(</)", rb"\1<PORT>9100</PORT>\2", whole)
    (vm,) = read([nested])
    assert vm.wanted == "[PORT]"


HOST = b"<HOST><ID>%b</ID><NAME>%b</NAME><STATE>%b</STATE><CLUSTER_ID>%b</CLUSTER_ID><TEMPLATE/></HOST>"


def test_C7_one_unreadable_host_leaves_the_others() -> None:
    """One host of a newer OpenNebula, or with an odd name, would stop the targets of the whole cloud."""
    elements = [
        HOST % (b"1", b"node-a1", b"2", b"0"),
        HOST % (b"x", b"node-a2", b"2", b"0"),
        HOST % (b"3", b"a/b:1", b"2", b"0"),
        HOST % (b"4", b"node-a4", b"99", b"none"),
        HOST % (b"5", b"node-a5", b"soon", b"0"),
        b"<HOST><ID>6</ID></HOST>",
        b"<HOST><ID>7</ID><NAME>cut",
        HOST % (b"8", b"2001:db8::8", b"2", b"101"),
    ]
    read_safely = [parse.safely(parse.host, cloud.Host, element) for element in elements]
    found = list(inventory.hosts(one for one in read_safely if one))
    assert [(host.id, host.cluster, host.monitored) for host in found] == [
        (1, 0, True), (4, -1, False), (5, 0, False), (8, 101, True),
    ]  # fmt: skip
    assert isinstance(found[0], Host)


def test_a_vm_that_did_not_change_is_read_once_and_one_that_did_again() -> None:
    """At 10,000 VMs each event would read all of them anew; a stale one would keep a target that moved."""
    known = inventory.KnownVms()
    first = cloud.Vm(1, name="web", state=3, lcm_state=3, user_template={"PROMETHEUS_EXPORTER": "9100"})
    assert [vm.wanted for vm in known.of([first])] == [vm.wanted for vm in inventory.vms([first])]
    (before,) = known.of([first])
    (again,) = known.of([first])
    assert again is before
    moved = replace(first, name="renamed")
    assert [vm.name for vm in known.of([moved])] == ["renamed"]
    assert list(known.of([])) == []


def test_a_vector_in_place_of_a_text_is_shown_by_its_first_names() -> None:
    """The owner finds in the refusal what was written, and a thousand names fill no log."""
    values = {"A": "1", "B": "2", "C": "3", "D": "4"}
    (vm,) = inventory.vms(
        [cloud.Vm(1, name="web", state=3, lcm_state=3, user_template={"PROMETHEUS_EXPORTER": values})]
    )
    assert vm.wanted == "[A, B, C]"
