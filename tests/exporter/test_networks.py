"""Address ranges: how much of each is free, as OpenNebula 7.4's exporter counts it."""

from __future__ import annotations

from pathlib import Path

import pytest

from exporter import networks
from exporter.metric_families import NETWORK
from onext.oned.elements import split

NETWORK_XML = '<VNET><ID>4</ID><NAME><![CDATA[a"b]]></NAME><AR_POOL>{}</AR_POOL><TEMPLATE><AR_ID>9</AR_ID></TEMPLATE></VNET>'


def address_range(number: object = 0, **values: object) -> str:
    """Return an address range."""
    inner = "".join(f"<{key}><![CDATA[{value}]]></{key}>" for key, value in values.items())
    return f"<AR><AR_ID><![CDATA[{number}]]></AR_ID>{inner}</AR>"


def rendered(*ranges: str) -> tuple[str, int]:
    """Return the page of a network with these ranges, and how many errors there were."""
    found = networks.read([NETWORK_XML.format("".join(ranges)).encode()])
    return found.samples.render(NETWORK).decode(), found.errors


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({"SIZE": 900, "ALLOCATED": " 0 68719476736 1 68719476737"}, "1.0"),
        ({"SIZE": 4, "ALLOCATED": " 0 68719476736"}, "0.75"),
        ({"SIZE": 4, "USED_LEASES": 3, "ALLOCATED": ""}, "0.25"),
        ({"SIZE": 8, "USED_LEASES": 7}, "0.13"),  # 0.125, rounded up
        ({"SIZE": 2, "USED_LEASES": 9}, "0.0"),
        ({"SIZE": 10}, "1.0"),
    ],
)
def test_the_free_part(values: dict[str, object], expected: str) -> None:
    """An address range that is full lets no VM start, and the alert for it uses this figure."""
    text, errors = rendered(address_range(**values))
    assert f'opennebula_vnet_free_lease_ratio{{vnet_id="4",vnet_name="a\\"b",ar_id="0"}} {expected}\n' in text
    assert errors == 0


def test_C7_a_range_that_cannot_be_read_hides_no_other() -> None:
    """The others of the network stay, and the loss is counted; a range without addresses has no ratio."""
    text, errors = rendered(
        "<OTHER><SIZE>1</SIZE></OTHER>",
        address_range(0, SIZE="x"),
        address_range("", SIZE=1),
        address_range(2, SIZE=0),
        address_range(3, SIZE=2),
    )
    assert text.count("vnet_id=") == 1
    assert 'ar_id="3"' in text
    assert errors == 1
    found = networks.read(
        [b"<VNET><NAME>x</NAME></VNET>", NETWORK_XML.format(address_range(SIZE=1)).encode()]
    )
    assert found.errors == 1
    assert b'vnet_id="4"' in found.samples.render(NETWORK)


def test_a_recorded_pool() -> None:
    """7.0.2 and 7.4.0 write the same pool, but for two elements that do not count."""
    fixtures = Path(__file__).parents[1] / "fixtures"
    for release, pools in (("7.0.2", 1), ("7.4.0", 1)):
        document = (fixtures / f"opennebula-{release}/vnetpool.xml").read_bytes()
        found = networks.read(split([document], "VNET"))
        assert found.errors == 0
        assert found.samples.render(NETWORK).count(b"vnet_id=") >= pools
