"""Both ends must come to the same tunnel, alone."""

import ipaddress

from hypothesis import given
from hypothesis import strategies as st

from drivers.vmm.migrate.onext_migrate.identity import NAME, identify

ADDRESSES = st.one_of(
    st.tuples(st.ip_addresses(v=4), st.ip_addresses(v=4)),
    st.tuples(st.ip_addresses(v=6), st.ip_addresses(v=6)),
).filter(lambda pair: pair[0] != pair[1])


@given(ADDRESSES, st.sampled_from(["kernel", "ovs"]), st.integers(0, 7))
def test_both_ends_agree(pair: "tuple[object, object]", kind: str, salt: int) -> None:
    """An end that calls the other by another address reaches no one."""
    here, there = (identify(str(one), str(other), kind, 4790, salt) for one, other in (pair, pair[::-1]))
    assert (here.name, here.vni, here.near, here.far) == (there.name, there.vni, there.far, there.near)
    assert NAME.match(here.name)
    assert len(here.name) < 16 > len(here.port_name)
    assert 0 < here.vni < 1 << 24
    assert here.near.mac != here.far.mac
    assert ipaddress.ip_address(here.near.inside).is_link_local
    assert ipaddress.ip_address(here.near.inside) in ipaddress.ip_network("fe80::/64")


def test_known_answer() -> None:
    """Another name after an upgrade would stop old and new nodes from finding each other."""
    known = identify("10.99.0.1", "10.99.0.2", "kernel", 4790)
    assert (known.name, known.port_name, known.vni) == ("oxt27afadd4a22", "oxp27afadd4a22", 11601208)
    assert known.near == ("10.99.0.1", "02:1f:21:04:92:00", "fe80::1f:21ff:fe04:9200")
    assert known.far == ("10.99.0.2", "02:1f:21:04:92:01", "fe80::1f:21ff:fe04:9201")
    assert int(known.near.mac[:2], 16) & 3 == 2, "locally administered, unicast"
    other = identify("fd00::2", "fd00::1", "ovs", 4789, 1)
    assert (other.name, other.vni) == ("oxt902ab0eb15a", 16428568)


def test_everything_has_its_own() -> None:
    """Tunnels of other pairs, datapaths, ports and salts live side by side on a host."""
    found = [
        identify("10.0.0.1", f"10.0.{i // 250}.{i % 250 + 2}", kind, port, salt)
        for i in range(200)
        for kind, port in (("kernel", 4790), ("kernel", 4795), ("ovs", 4789))
        for salt in range(2)
    ]
    assert len({one.name for one in found}) == len(found)
    assert len({one.near.inside for one in found} | {one.far.inside for one in found}) == 2 * len(found)
