"""What is read from oned: the recordings of 7.0.2, and who may allow a network."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from hooks.targets import inventory
from hooks.targets.inventory import RUNS, Guest, Interface, nodes
from hooks.targets.networks import networks
from onext.oned.elements import split
from onext.xml import parse
from tests.exporter.answers import compact


def vms(document: bytes) -> list[bytes]:
    return list(split([document], "VM"))


def guests(elements: list[bytes]) -> list[Guest]:
    """Return the guests of a pool in which none is broken."""
    broken: list[bytes] = []
    found = list(inventory.guests(elements, broken.append))
    assert broken == []
    return found


def test_recorded_guests(recordings: Path) -> None:
    """Of all recorded VMs just those that run and have PROMETHEUS_EXPORTER are targets."""
    found = {
        guest.id: guest for guest in guests(vms((recordings / "vmpool.infoextended.raw.xml").read_bytes()))
    }
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
    assert [(str(one.address), one.network) for one in web.interfaces] == [("10.10.0.10", 0)]


@pytest.mark.parametrize(
    "state", ["poweroff", "suspended", "stopped", "undeployed", "hold", "pending", "done"]
)
def test_guests_that_do_not_run_are_no_targets(recordings: Path, state: str) -> None:
    """A VM that was stopped must vanish from Prometheus, in each of its states."""
    document = (recordings / f"vm.{state}.xml").read_bytes()
    document = document.replace(
        b"<USER_TEMPLATE>", b"<USER_TEMPLATE><PROMETHEUS_EXPORTER>9100</PROMETHEUS_EXPORTER>"
    )
    assert guests(vms(b"<VM_POOL>" + document + b"</VM_POOL>")) == []


@pytest.mark.parametrize("lcm_state", range(72))
def test_a_guest_that_migrates_live_stays(recordings: Path, lcm_state: int) -> None:
    """Targets that flap during a migration or a backup lose samples and raise alerts."""
    document = (recordings / "vm.active-with-exporter-and-vmgroup.xml").read_bytes()
    document = re.sub(rb"<LCM_STATE>\d+<", b"<LCM_STATE>%d<" % lcm_state, document)
    assert len(guests(vms(b"<VM_POOL>" + document + b"</VM_POOL>"))) == (lcm_state in RUNS)


def test_all_kinds_of_addresses() -> None:
    """Aliases, external and IPv6 addresses are the VM's own; link-local ones are of no use."""
    document = b"""<VM_POOL><VM><ID>1</ID><UID>2</UID><NAME>a</NAME><STATE>3</STATE><LCM_STATE>3</LCM_STATE><TEMPLATE>
      <CONTEXT><ETH0_IP>1.1.1.1</ETH0_IP><IP>1.1.1.2</IP></CONTEXT>
      <NIC><IP>10.0.0.1</IP><NETWORK_ID>1</NETWORK_ID><IP6_LINK>fe80::1</IP6_LINK></NIC>
      <NIC_ALIAS><IP6_GLOBAL>2001:db8::1</IP6_GLOBAL><EXTERNAL_IP>203.0.113.1</EXTERNAL_IP><IP>nonsense</IP></NIC_ALIAS>
      </TEMPLATE><USER_TEMPLATE><PROMETHEUS_EXPORTER>1</PROMETHEUS_EXPORTER></USER_TEMPLATE><HISTORY_RECORDS/></VM></VM_POOL>"""
    (guest,) = guests(vms(document))
    assert [(str(one.address), one.network) for one in guest.interfaces] == [
        ("10.0.0.1", 1),
        ("2001:db8::1", -1),
        ("203.0.113.1", -1),
    ]
    assert isinstance(guest.interfaces[0], Interface)
    assert guest.host == -1


def test_recorded_hosts(recordings: Path) -> None:
    """A host that is off or in error leaves the files; a disabled one is monitored and stays."""
    pool = split([(recordings / "hostpool.raw.xml").read_bytes()], "HOST")
    found = {node.id: monitored for node, monitored in nodes(pool)}
    assert found == {**dict.fromkeys(range(7), True), 7: False, 8: False}  # 7 is OFFLINE, 8 in ERROR


POOL = """<VNET_POOL><VNET><ID>1</ID><UID>{uid}</UID><GID>{gid}</GID><NAME>n</NAME>
<PERMISSIONS><GROUP_M>{group_m}</GROUP_M><OTHER_M>{other_m}</OTHER_M></PERMISSIONS>
<TEMPLATE><ONEXT_SCRAPE><![CDATA[{value}]]></ONEXT_SCRAPE></TEMPLATE>
<AR_POOL><AR><IP>10.0.0.2</IP><SIZE>3</SIZE><GLOBAL_PREFIX>2001:db8::</GLOBAL_PREFIX></AR></AR_POOL></VNET></VNET_POOL>"""
SAFE = {"uid": 0, "gid": 0, "group_m": 0, "other_m": 0, "value": "YES"}


@pytest.mark.parametrize(
    ("changes", "allowed"),
    [
        ({}, True),
        ({"value": "yes"}, True),
        ({"value": "NO"}, False),
        ({"uid": 7}, True),  # a member of oneadmin
        ({"uid": 8}, False),
        ({"gid": 100}, True),
        ({"gid": 100, "group_m": 1}, False),
        ({"group_m": 1}, True),  # that group is oneadmin
        ({"other_m": 1}, False),
    ],
)
def test_only_administrators_allow_a_network(changes: dict[str, object], allowed: bool) -> None:
    """A tenant who owns a network, or may manage it, could else open it for themselves."""
    (found,) = networks(parse(POOL.format(**{**SAFE, **changes})), {0, 7})
    assert found.allowed is allowed


def test_ranges_of_a_network() -> None:
    """An address that the network does not lease is no address of a VM in it."""
    from ipaddress import ip_address

    (found,) = networks(parse(POOL.format(**SAFE)), set())
    inside = ["10.0.0.2", "10.0.0.4", "2001:db8::1"]
    outside = ["10.0.0.1", "10.0.0.5", "2001:db8:0:1::1"]
    assert all(any(ip_address(a) in part for part in found.ranges) for a in inside)
    assert not any(any(ip_address(a) in part for part in found.ranges) for a in outside)


def test_recorded_networks(recordings: Path) -> None:
    """The recorded network is not marked: nothing in it may be scraped."""
    (found,) = networks(parse((recordings / "vnetpool.xml").read_bytes()), {0})
    assert not found.allowed
    assert (str(found.ranges[0].first), str(found.ranges[0].last)) == ("10.10.0.10", "10.10.3.141")


@pytest.mark.parametrize("damage", [(b"<UID>0</UID>", b""), (b"<STATE>3<", b"<STATE>x<"), (b"</NAME>", b"")])
def test_a_broken_vm_costs_no_other_its_target(recordings: Path, damage: tuple[bytes, bytes]) -> None:
    """Else one VM could freeze the targets of everybody."""
    whole = compact((recordings / "vm.active-with-exporter-and-vmgroup.xml").read_bytes())
    broken: list[bytes] = []
    found = list(inventory.guests([whole.replace(*damage, 1), whole], broken.append))
    assert [guest.id for guest in found] == [0]
    assert len(broken) == 1
