"""Which address is assigned to whom: AR/ALLOCATED of both recorded releases, of every type of range."""

from __future__ import annotations

import re
from ipaddress import IPv6Address, ip_address
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hooks.targets import inventory, networks
from hooks.targets.leases import Leases
from hooks.targets.networks import NETWORK, VM, AddressRange, VirtualNetwork
from onext.cloud import parse
from onext.oned.elements import split
from tests.exporter.answers import compact

from .scene import allocated, vms, with_vm

NEWER = Path(__file__).parents[2] / "fixtures/opennebula-7.4.0"
VNET = """<VNET><ID>{id}</ID><UID>{uid}</UID><GID>{gid}</GID><NAME>n</NAME>
<PERMISSIONS><GROUP_M>{group_m}</GROUP_M><GROUP_A>{group_a}</GROUP_A><OTHER_M>{other_m}</OTHER_M><OTHER_A>0</OTHER_A></PERMISSIONS>
<PARENT_NETWORK_ID>{parent}</PARENT_NETWORK_ID><TEMPLATE><ONEXT_SCRAPE><![CDATA[{scrape}]]></ONEXT_SCRAPE>{more}</TEMPLATE>
<AR_POOL>{ranges}</AR_POOL></VNET>"""
SAFE = {
    "id": 1, "uid": 0, "gid": 0, "group_m": 0, "group_a": 0, "other_m": 0, "parent": "", "scrape": "YES", "more": "",
}  # fmt: skip
ADMINISTRATORS = {0, 7}
TENANT = 8


def network(*ranges: str, **changes: object) -> VirtualNetwork:
    """Read a network of an administrator, with these changes, out of oned's XML."""
    document = VNET.format(**{**SAFE, **changes}, ranges="".join(ranges))
    return networks.of_network(parse.network(compact(document.encode())), ADMINISTRATORS)


def ar(owners: str, kind: str = "IP4", ip: str = "10.0.0.2", size: int = 100, more: str = "") -> str:
    """Return one range."""
    return (
        f"<AR><ALLOCATED><![CDATA[{owners}]]></ALLOCATED><AR_ID><![CDATA[0]]></AR_ID><IP><![CDATA[{ip}]]></IP>"
        f"<MAC><![CDATA[02:00:0a:0a:ff:fe]]></MAC><SIZE><![CDATA[{size}]]></SIZE><TYPE>{kind}</TYPE>{more}</AR>"
    )


def found(leases: Leases, vm: int) -> dict[str, bool]:
    """Return the addresses of a VM, and whether they are open."""
    return {str(address): lease.opened for address, lease in leases.of(vm).items()}


def recorded(folder: Path) -> Leases:
    document = compact((folder / "vnetpool.xml").read_bytes())
    return Leases.of_networks(
        networks.of_network(parse.network(element), {0}) for element in split([document], "VNET")
    )


def test_S4_recorded_allocations(recordings: Path) -> None:
    """The pool of a real oned is read wrongly, and every target is refused or everyone's is taken."""
    older, newer = recorded(recordings), recorded(NEWER)
    assert found(older, 0) == {"10.10.0.10": False}
    assert found(older, 14) == {"10.10.0.24": False}
    assert found(older, 11) == {}
    assert found(newer, 0) == {"10.10.0.10": False}
    assert found(newer, 22) == {"10.10.0.33": False}
    assert [vm for vm in range(50) if found(newer, vm)] == [
        *range(11), 12, 13, 14, 16, 17, 18, 19, 22, 23, 25, 27, 28,
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "taken"),
    [
        ("vm.active", True),
        ("vm.active-nic-auto", True),
        ("vm.active-nic-dummy-claims-an-address", False),
        ("vm.active-nic-dummy-claims-more", False),
        ("vm.active-nic-without-network-claims-an-address", False),
        ("vm.nic-auto-asks-for-an-address", False),
    ],
)
def test_S4_recorded_claims(name: str, taken: bool) -> None:
    """A tenant has another tenant's address scraped by writing it into a NIC that no network backs."""
    element = compact((NEWER / f"{name}.xml").read_bytes())
    wanted = b"<USER_TEMPLATE><PROMETHEUS_EXPORTER>9100</PROMETHEUS_EXPORTER></USER_TEMPLATE>"
    element = re.sub(rb"<USER_TEMPLATE(/>|>.*</USER_TEMPLATE>)", wanted, element)
    element = element.replace(b"<STATE>1<", b"<STATE>3<", 1).replace(b"<LCM_STATE>0<", b"<LCM_STATE>3<", 1)
    (vm,) = inventory.vms([parse.vm(element)])
    assert vm.addresses
    leases = recorded(NEWER).of(vm.id)
    assert [address for address in vm.addresses if address in leases] == list(vm.addresses) * taken


def test_S4_every_type_of_range() -> None:
    """Addresses of IPv6 ranges are computed otherwise than oned does: VMs lose their targets."""
    owner = allocated({1: VM | 5})
    prefixes = "<GLOBAL_PREFIX>2001:db8:1::</GLOBAL_PREFIX><ULA_PREFIX>fd00:1::</ULA_PREFIX>"
    static = "<IP6>2001:db8::ffff:ffff</IP6>"
    cases = {
        "IP4": ["10.0.0.3"],
        "IP6": ["2001:db8:1::", "fd00:1::"],
        "IP4_6": ["10.0.0.3", "2001:db8:1::", "fd00:1::"],
        "IP6_STATIC": ["2001:db8::"],  # only the last 32 bits count up
        "IP4_6_STATIC": ["10.0.0.3", "2001:db8::"],
        "ETHER": [],
    }
    for kind, expected in cases.items():
        leases = Leases.of_networks([network(ar(owner, kind, more=prefixes + static))])
        # 02:00:0a:0a:ff:fe + 1 as modified EUI-64 is 0000:0aff:fe0a:ffff
        assert list(found(leases, 5)) == [
            f"{one}aff:fe0a:ffff" if one.endswith(":1::") else one for one in expected
        ], kind


def test_S4_an_index_with_several_owners() -> None:
    """Of a shared range an address of two VMs counts as that of one: its metrics get the other's labels."""
    owners = f"{allocated({3: VM | 5})}{allocated({3: VM | 6, 6: VM | 6})}{allocated({4: VM | 0xFFFFFFFF})}"
    leases = Leases.of_networks([network(ar(owners, more="<SHARED>YES</SHARED>"))])
    assert found(leases, 5) == {"10.0.0.5": True}
    assert found(leases, 6) == {"10.0.0.5": True, "10.0.0.8": True}
    assert found(leases, -1) == {}
    assert [str(a) for a, lease in {**leases.of(5), **leases.of(6)}.items() if lease.shared] == ["10.0.0.5"]


@pytest.mark.parametrize(
    "owners",
    [" 0", " 0 x", " 0 68719476741 1", " -1 68719476741", " 0 " + "9" * 30, "\u0660 68719476741", "0 6_8"],
)
def test_S4_allocations_that_cannot_be_read_assign_nothing(owners: str) -> None:
    """A guess at half of a record gives somebody else's address to a VM."""
    with pytest.raises(ValueError, match="ALLOCATED"):
        network(ar(owners))


def test_S4_what_others_own_is_no_vms() -> None:
    """Addresses held, reserved or of a virtual router count as those of the VM with that number."""
    others = {0: NETWORK | 5, 1: (1 << 50) | 5, 2: 5, 3: (1 << 37) | 5, 4: VM | 6, 200: VM | 5}
    assert found(Leases.of_networks([network(ar(allocated(others)))]), 5) == {}


def test_S4_owners_as_oned_packs_them() -> None:
    """With another number for VMs no VM is scraped; with another one for networks a reservation has no owner."""
    parent = network(ar("1 68719476741 8 274877906946"), id=1)
    child = network(ar("0 68719476742", ip="10.0.0.10", size=1), id=2, uid=TENANT, parent=1, scrape="")
    leases = Leases.of_networks([parent, child])
    assert found(leases, 5) == {"10.0.0.3": True}
    assert found(leases, 6) == {"10.0.0.10": True}


def test_S4_reservations() -> None:
    """A VM in a reservation is not scraped though its parent is open, or one that its owner changed is."""
    parent = network(ar(allocated({8: NETWORK | 2, 9: NETWORK | 2, 1: VM | 5})), id=1)
    mine = ar(allocated({0: VM | 5, 1: VM | 6, 2: VM | 7}), ip="10.0.0.10", size=3)
    child = network(mine, id=2, uid=TENANT, gid=100, group_m=1, parent=1, scrape="")
    leases = Leases.of_networks([parent, child])
    assert found(leases, 5) == {"10.0.0.3": True, "10.0.0.10": True}
    assert found(leases, 6) == {"10.0.0.11": True}
    assert found(leases, 7) == {}  # beyond what the parent reserved
    for changes in ({"parent": 3}, {"parent": ""}, {"id": 4}, {"parent": 2}):
        other = network(mine, **{"id": 2, "uid": TENANT, "parent": 1, **changes})
        assert found(Leases.of_networks([parent, other]), 6) == {}
    closed = network(mine, id=2, uid=TENANT, parent=1, scrape="no")
    assert found(Leases.of_networks([parent, closed]), 6) == {"10.0.0.11": False}


def test_S4_a_reservation_with_prefixes() -> None:
    """VMs in a reservation of an IPv6 network have no targets."""
    prefix = "<GLOBAL_PREFIX>2001:db8::</GLOBAL_PREFIX>"
    parent = network(ar(allocated({1: NETWORK | 2}), "IP6", more=prefix))
    child = network(
        ar(allocated({0: VM | 5}), "IP6", more=prefix).replace("ff:fe", "ff:ff"), id=2, uid=TENANT, parent=1
    )
    assert found(Leases.of_networks([parent, child]), 5) == {"2001:db8::aff:fe0a:ffff": True}


def test_S4_external_addresses() -> None:
    """EXTERNAL_IP of a NIC is what its owner wrote; only that of the range or network counts."""
    given = "<EXTERNAL_IP>203.0.113.9</EXTERNAL_IP>"
    owner = allocated({0: VM | 5})
    for one in (network(ar(owner, more=given)), network(ar(owner), more=given)):
        assert found(Leases.of_networks([one]), 5) == {"10.0.0.2": True, "203.0.113.9": True}
        assert found(Leases.of_networks([one]), 6) == {}
    parent = network(ar(allocated({0: NETWORK | 2})))
    child = network(ar(owner, more=given), id=2, uid=TENANT, parent=1)
    assert found(Leases.of_networks([parent, child]), 5) == {"10.0.0.2": True}


@pytest.mark.parametrize(
    ("changes", "opened"),
    [
        ({}, True),
        ({"scrape": "yes"}, True),
        ({"scrape": "NO"}, False),
        ({"scrape": "maybe"}, False),
        ({"uid": 7}, True),  # a member of oneadmin
        ({"uid": TENANT}, None),
        ({"gid": 100}, True),
        ({"gid": 100, "group_m": 1}, None),
        ({"gid": 100, "group_a": 1}, None),
        ({"group_m": 1}, True),  # that group is oneadmin
        ({"other_m": 1}, None),
        ({"other_m": ""}, None),
    ],
)
def test_only_administrators_open_a_network(changes: dict[str, object], opened: bool | None) -> None:
    """A tenant who owns a network, or may manage it, could open it, or put any range into it."""
    leases = Leases.of_networks([network(ar(allocated({0: VM | 5})), **changes)])
    assert found(leases, 5) == ({} if opened is None else {"10.0.0.2": opened})


def test_an_address_in_two_networks_is_open_where_one_is() -> None:
    """A VM with the same private address in two networks loses its target."""
    owner = allocated({0: VM | 5})
    both = [
        network(ar(owner), id=1, scrape=""),
        network(ar(owner), id=2),
        network(ar(owner), id=3, scrape=""),
    ]
    assert found(Leases.of_networks(both), 5) == {"10.0.0.2": True}
    assert vms(with_vm(*both, id=5, addresses=(ip_address("10.0.0.2"),))) == ["10.0.0.2:9100"]


@given(
    first=st.ip_addresses(v=4),
    mac=st.integers(0, 2**48 - 1),
    prefix=st.integers(0, 2**64 - 1),
    index=st.integers(0, 299),
    other=st.ip_addresses(),
)
def test_S4_addresses_and_indexes_agree(
    first: object, mac: int, prefix: int, index: int, other: object
) -> None:
    """A reservation is checked for another address than the one that is scraped."""
    part = AddressRange(int(first), None, (prefix,), mac, owners={VM | 5: frozenset({index})})  # type: ignore[call-overload]
    assigned = list(part.addresses(index))
    assert all(part.allocates(address, VM | 5) for address in assigned)
    assert not any(part.allocates(address, VM | 6) for address in assigned)
    assert part.allocates(other, VM | 5) == (other in assigned)  # type: ignore[arg-type]
    assert all(isinstance(address, IPv6Address) == (address.version == 6) for address in assigned)
