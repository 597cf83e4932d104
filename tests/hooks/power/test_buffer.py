"""How much room is kept free: for how many VMs, of which size, on which hosts."""

from typing import Any

import pytest

from hooks.power.buffer import Want, wanted
from hooks.power.policy import Policy
from onext.hosts.model import Host, Kind, Vm
from onext.hosts.placement.problem import ZERO, Size
from tests.hooks.power.test_decide import FLAVOUR, SIZE, cluster, host, vm

LARGE, TALL = Size(800, 1024), Size(100, 65_536)  # half the CPU of a host; all of its memory


@pytest.mark.parametrize(
    ("hosts", "vms", "policy", "more", "found"),
    [
        ([host(0)], [vm(1, 0)], {}, 0, ((1, FLAVOUR, None),)),
        ([host(0)], [vm(1, 0)], {"buffer_vms": 3}, 1, ((4, FLAVOUR, None),)),
        ([host(0)], [vm(1, 0)], {"buffer_vms": 0}, 1, ()),
        ([host(0)], [vm(1, 0, kind=Kind.PARKED)], {}, 0, ()),
        ([host(0)], [vm(1, 0, size=LARGE), vm(2, 0, size=TALL)], {}, 0, ((1, TALL, None),)),
        ([host(0)], [vm(1, 0, size=LARGE), vm(2, 0)], {}, 0, ((1, LARGE, None),)),
        ([], [vm(1, 0)], {}, 0, ()),
        ([host(0, size=ZERO)], [vm(1, 0)], {}, 0, ()),
        ([host(0, size=Size(1, 1))], [vm(1, 0)], {}, 0, ((1, Size(1, 1), None),)),
        (
            [host(0), host(1, pinned=True, size=Size(9600, 999_999))],
            [vm(1, 0, size=Size(9600, 999_999))],
            {},
            0,
            ((1, SIZE, frozenset({0})),),
        ),
        ([host(0, size=Size(200, 99_999)), host(1)], [vm(1, 0, size=Size(1600, 1024))], {}, 0,
         ((1, Size(1600, 1024), None),)),
        ([host(0, size=Size(200, 99_999)), host(1)], [vm(1, 0, size=Size(200, 90_000))], {}, 0,
         ((1, Size(200, 90_000), None),)),
        ([host(0, size=Size(200, 99_999)), host(1)], [vm(1, 0, size=Size(1600, 99_999))], {}, 0,
         ((1, Size(1600, 65_536), None),)),
        ([host(0, size=Size(400, 65_536)), host(1)], [vm(1, 0, size=Size(900, 65_536))], {}, 0,
         ((1, Size(900, 65_536), None),)),
    ],
)  # fmt: skip
def test_the_buffer_is_so_many_of_the_largest_flavour_that_runs(
    hosts: list[Host], vms: list[Vm], policy: dict[str, Any], more: int, found: tuple[Want, ...]
) -> None:
    """The next VM of the largest size would wait for a boot, or hosts stay on for one that nobody runs."""
    assert wanted(cluster(hosts, vms), Policy(**policy), more) == found


@pytest.mark.parametrize(
    ("groups", "found"),
    [
        (((105, 2),), ((2, FLAVOUR, None),)),
        (((106, 2),), ((2, TALL, None),)),
        (((105, 0),), ()),
        (((105, 1), (1, 3)), ((1, FLAVOUR, None), (3, TALL, None))),
    ],
)
def test_a_groups_buffer_is_of_its_own_flavour(
    groups: tuple[tuple[int, int], ...], found: tuple[Want, ...]
) -> None:
    """A group of small VMs would keep whole hosts on; one that runs nothing yet is given the largest."""
    here = cluster([host(0)], [vm(1, 0, group=105), vm(2, 0, group=1, size=TALL)])
    assert wanted(here, Policy(buffer_vms=0, group_buffers=groups), more=1) == found
