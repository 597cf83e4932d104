"""Orders by hand: the same checks as by itself."""

from dataclasses import replace

import pytest

from hooks.power.by_hand import Refused, evacuation
from hooks.power.model import Bmc, Cluster, Guest, Host, Kind
from hooks.power.planner.problem import Size
from hooks.power.policy import Policy
from onext.oned.objects import HostState

POLICY = Policy(min_hosts=1, spare_host=False, buffer_vms=1, target_utilisation=1.0)


def cluster(guests: int) -> Cluster:
    """Return two hosts with room for four guests each, the first with so many on it."""
    hosts = tuple(Host(n, f"node-{n}", HostState.MONITORED, Size(400, 4096), bmc=Bmc.ON) for n in (0, 1))
    standing = (Guest(n, f"vm-{n}", Size(100, 1024), Kind.RUNNING, 0) for n in range(guests))
    return Cluster(100, "alpha", hosts, tuple(standing))


def test_only_the_host_that_was_named_is_emptied() -> None:
    """The other one might be the fuller, and nobody asked for it."""
    here = cluster(2)
    moves = evacuation(here, POLICY, here.hosts[0])
    assert sorted(move.guests[0] for move in moves) == [0, 1]
    assert {(move.source, move.target) for move in moves} == {(0, 1)}
    assert evacuation(here, POLICY, here.hosts[1]) == ()


@pytest.mark.parametrize("policy", [replace(POLICY, buffer_vms=3), replace(POLICY, min_hosts=2)])
def test_buffer_and_minimum_hold_by_hand_too(policy: Policy) -> None:
    """One careless command would take the room that others count on."""
    here = cluster(2)
    with pytest.raises(Refused, match="buffer or MIN_HOSTS"):
        evacuation(here, policy, here.hosts[0])


def test_guests_without_a_place_keep_their_host() -> None:
    """They would be left behind on a disabled host."""
    here = cluster(4)
    fixed = replace(here, guests=tuple(replace(guest, fixed="a PCI device") for guest in here.guests))
    with pytest.raises(Refused):
        evacuation(fixed, replace(POLICY, buffer_vms=0), fixed.hosts[0])
