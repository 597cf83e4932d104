"""Which addresses are public: one row for each special range of the IANA registries."""

import json
from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hooks.geolocation.addresses import NotAddresses, listed, parse, public

SPECIAL = [
    "0.0.0.0",
    "0.255.255.255",
    "10.0.0.1",
    "10.255.255.255",
    "100.64.0.1",
    "100.127.255.255",
    "127.0.0.1",
    "169.254.0.1",
    "169.254.169.254",
    "172.16.0.1",
    "172.31.255.255",
    "192.0.0.1",
    "192.0.0.8",
    "192.0.0.170",
    "192.0.2.1",
    "192.88.99.1",
    "192.168.0.1",
    "198.18.0.1",
    "198.19.255.255",
    "198.51.100.1",
    "203.0.113.1",
    "224.0.0.1",
    "239.255.255.255",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "::ffff:10.0.0.1",
    "64:ff9b::1",
    "64:ff9b:1::1",
    "100::1",
    "100:0:0:1::1",
    "2001::1",
    "2001:2::1",
    "2001:10::1",
    "2001:20::1",
    "2001:1ff::1",
    "2001:db8::1",
    "2002::1",
    "2002:808:808::1",
    "3fff::1",
    "3fff:fff::1",
    "5f00::1",
    "4000::1",
    "fc00::1",
    "fd00::1",
    "fe80::1",
    "fec0::1",
    "ff00::1",
    "ff02::1",
]
PUBLIC = [
    "1.1.1.1",
    "8.8.8.8",
    "9.255.255.255",
    "11.0.0.0",
    "100.63.255.255",
    "100.128.0.0",
    "172.15.255.255",
    "172.32.0.0",
    "192.0.1.0",
    "192.0.3.0",
    "192.167.255.255",
    "192.169.0.0",
    "198.17.255.255",
    "198.20.0.0",
    "223.255.255.255",
    "193.0.6.139",
    "2001:200::1",
    "2001:6b0:1::1",
    "2001:db7:ffff::1",
    "2001:db9::1",
    "2003::1",
    "2a00:1450::1",
    "3ffe::1",
    "2620:0:2d0::1",
    "::ffff:8.8.8.8",
]


@pytest.mark.parametrize("text", SPECIAL)
def test_special_ranges_are_not_public(text: str) -> None:
    """A private address looked up in a database puts a host on the wrong continent."""
    assert not public(parse(text))


@pytest.mark.parametrize("text", PUBLIC)
def test_their_neighbours_are_public(text: str) -> None:
    """An address wrongly taken as private leaves a host without a place."""
    assert public(parse(text))


@given(st.ip_addresses(v=4))
def test_mapped_addresses_are_what_they_map(address: object) -> None:
    """A host may list an IPv4 address in its IPv6 form."""
    assert parse(f"::ffff:{address}") == address


def show(*interfaces: list[str]) -> bytes:
    links = [
        {"ifname": f"e{n}", "addr_info": [{"local": a} for a in found]} for n, found in enumerate(interfaces)
    ]
    return json.dumps([*links, {}, {"addr_info": [{}]}]).encode()


def test_all_addresses_of_all_interfaces_count_in_order_once() -> None:
    """The reference read only the first of each interface and missed IPv6."""
    output = show(
        ["127.0.0.1", "::1"],
        ["10.0.0.5", "193.0.6.139", "2001:6b0:1::1"],
        ["fe80::1", "193.0.6.139", "8.8.8.8"],
    )
    assert [str(a) for a in listed(output)] == ["193.0.6.139", "2001:6b0:1::1", "8.8.8.8"]


@pytest.mark.parametrize(
    "output",
    [
        b"",
        b"ip: unknown option",
        b"{}{",
        b"[1]",
        b'[{"addr_info": [{"local": "300.1.1.1"}]}]',
        b"[" * 100_000,
        b"\xff",
        b'[{"addr_info": 3}]',
        b"{}",
        b"Welcome!\n",
        b"[" * 30 + b"\n" + b"[1, 2]",
        b'[{"addr_info": [{"local": "193.0.6.139"}]}',
        b"\n[" * 100 + b"\n[]",
        b"Mail: []",
        b"[]\n[]",
        b'[{"addr_info":[]}] closed',
    ],
)
def test_other_output_is_refused(output: bytes) -> None:
    """An error message must not be taken for `no address`: that would remove a value."""
    with pytest.raises(NotAddresses):
        listed(output)


def test_an_empty_list_is_an_answer() -> None:
    """The reason would be missing for a host that has no address."""
    assert listed(b"[]") == ()
    assert ip_address("8.8.8.8") not in listed(b"[]")


def addresses(*infos: dict[str, object], before: bytes = b"") -> list[str]:
    return list(map(str, listed(before + json.dumps([{"ifname": "e0", "addr_info": infos}]).encode())))


GOOD: dict[str, object] = {"family": "inet", "local": "193.0.6.139", "scope": "global"}
STABLE: dict[str, object] = {"family": "inet6", "local": "2001:6b0:1::1", "mngtmpaddr": True}


@pytest.mark.parametrize(
    "before",
    [
        b"Welcome to node-a1!\n\n",
        b"*** [ authorised use only ] ***\r\n",
        b"[WARN] disk is full\n",
        b"{}\n",
        b"[1]\n[\n",
        "Grüße\n".encode("latin-1"),
        b"\x1b[1mMOTD\x1b[0m\n  ",
    ],
)
def test_D6_a_message_of_the_day_before_the_list(before: bytes) -> None:
    """A host whose shell greets everyone would never be located."""
    assert addresses(GOOD, before=before) == ["193.0.6.139"]


def test_D6_objects_without_addresses_are_passed_over() -> None:
    """`ip --json` prints an empty object for each interface that it leaves out."""
    assert listed(b'[{},{"addr_info":[{},{"local":"193.0.6.139"},5]},{},{"addr_info":[]}]') == (
        ip_address("193.0.6.139"),
    )
    assert listed(b"[{},{}]") == ()


@pytest.mark.parametrize("flag", ["dadfailed", "tentative"])
def test_D6_an_address_that_the_host_may_not_use_is_none(flag: str) -> None:
    """Another machine has that address: the host would be put where that is."""
    assert addresses({**STABLE, flag: True}) == []
    assert addresses({**STABLE, flag: True}, GOOD) == ["193.0.6.139"]
    assert addresses({**STABLE, flag: False}) == ["2001:6b0:1::1"]


@pytest.mark.parametrize("flag", ["deprecated", "temporary"])
def test_D6_passing_addresses_count_only_where_there_is_no_other(flag: str) -> None:
    """GEOLOCATION would be written each day, with every privacy address, or not at all."""
    passing = {**STABLE, "local": "2001:6b0:1::aaaa", flag: True}
    assert addresses(passing, STABLE, GOOD) == ["2001:6b0:1::1", "193.0.6.139"]
    assert addresses(passing) == ["2001:6b0:1::aaaa"]
    private = {**GOOD, "local": "10.0.0.1"}
    assert addresses(passing, private) == ["2001:6b0:1::aaaa"]


def test_D6_one_address_that_cannot_be_read_leaves_the_others() -> None:
    """A field of a newer iproute2 would cost the host its place."""
    assert addresses({"local": "300.1.1.1"}, {"local": None}, GOOD) == ["193.0.6.139"]


def test_many_addresses_are_bounded() -> None:
    """A host with thousands of addresses would be asked for as many places."""
    many: list[dict[str, object]] = [
        {"local": f"193.0.{number // 250}.{number % 250 + 1}"} for number in range(1000)
    ]
    assert len(addresses(*many)) == 64


def test_of_many_addresses_the_first_count() -> None:
    """A container host with thousands of addresses would take all queries of a day."""
    infos = [{"local": f"193.0.{number // 250}.{number % 250 + 1}"} for number in range(65)]
    found = listed(json.dumps([{"addr_info": infos}]).encode())
    assert list(map(str, found)) == [info["local"] for info in infos[:64]]


@pytest.mark.parametrize(("decoys", "read"), [(0, True), (31, True), (32, False)])
def test_what_looks_like_a_list_before_it_costs_no_more_than_it_may(decoys: int, read: bool) -> None:
    """A login message in brackets must not hide the addresses, nor a hostile one cost a second each."""
    output = ("[ {no JSON\n" * decoys + '[{"addr_info": [{"local": "193.0.6.139"}]}]').encode()
    if read:
        assert list(map(str, listed(output))) == ["193.0.6.139"]
    else:
        with pytest.raises(NotAddresses, match="printed something else"):
            listed(output)
