"""Orders by hand: the same checks as by itself."""

from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest

from hooks.power.decide import Memory, decide
from hooks.power.manual_orders import Order, Refused, enroll, evacuation, switch_on
from hooks.power.part import Assessment
from hooks.power.policy import Policy
from onext.hosts.model import Bmc, Cluster, Host, Kind, Record, Vm
from onext.hosts.placement.problem import Size
from onext.oned.objects import HostState
from tests.onext.hosts.actions.cloud_model import START, observe
from tests.onext.hosts.actions.scene import Scene

POLICY = Policy(min_hosts=1, spare_host=False, buffer_vms=1, target_utilisation=1.0)


def cluster(vms: int) -> Cluster:
    """Return two hosts with room for four VMs each, the first with so many on it."""
    hosts = tuple(Host(n, f"node-{n}", HostState.MONITORED, Size(400, 4096), bmc=Bmc.ON) for n in (0, 1))
    standing = (Vm(n, f"vm-{n}", Size(100, 1024), Kind.RUNNING, 0) for n in range(vms))
    return Cluster(100, "alpha", hosts, tuple(standing))


def test_only_the_host_that_was_named_is_emptied() -> None:
    """The other one might be the fuller, and nobody asked for it."""
    here = cluster(2)
    moves = evacuation(here, POLICY, here.hosts[0])
    assert sorted(move.vms[0] for move in moves) == [0, 1]
    assert {(move.source, move.target) for move in moves} == {(0, 1)}
    assert evacuation(here, POLICY, here.hosts[1]) == ()


@pytest.mark.parametrize(
    ("policy", "said"),
    [
        (replace(POLICY, buffer_vms=3), "the buffer for new VMs"),
        (replace(POLICY, min_hosts=2), "MIN_HOSTS is 2, and 1 other hosts take VMs"),
        (replace(POLICY, spare_host=True, buffer_vms=0), "VMs of the largest host as well"),
    ],
)
def test_E5_what_keeps_a_host_on_is_named(policy: Policy, said: str) -> None:
    """One careless command would take the room that others count on; people must learn which rule it was."""
    here = cluster(2)
    with pytest.raises(Refused, match=said):
        evacuation(here, policy, here.hosts[0])


def test_vms_without_a_place_keep_their_host() -> None:
    """They would be left behind on a disabled host."""
    here = cluster(4)
    fixed = replace(here, vms=tuple(replace(vm, fixed="a PCI device") for vm in here.vms))
    with pytest.raises(Refused):
        evacuation(fixed, replace(POLICY, buffer_vms=0), fixed.hosts[0])


def follow(scene: Scene, what: Callable[[Order], Iterator[str]], number: int = 0) -> list[str]:
    """Carry out an order on the model, where time passes between two looks."""
    here = observe(scene.cloud)
    assessment = Assessment(here, POLICY, decide(here, POLICY, scene.cloud.now, Memory()))
    said = []
    for line in what(Order(scene.actuator, assessment, here.hosts[number])):
        said.append(line)
        scene.cloud.pass_time(10.0)
    return said


def test_enrolment_proves_one_cycle() -> None:
    """A host that never proved to wake would be lost at the first power-off."""
    scene = Scene()
    scene.machine().record = Record()
    assert follow(scene, enroll)[-1] == "awake"
    assert scene.machine().record.proven > START
    assert scene.machine().state is HostState.MONITORED


def test_enrolment_with_another_machines_bmc_proves_nothing() -> None:
    """It would say off, and this host run on: MODE = auto would take it from then on."""
    scene = Scene()
    scene.machine().record = Record()
    scene.before["switch_bmc off-soft"] = lambda: setattr(scene.machine(), "fault", "lying")
    with pytest.raises(Refused, match="cannot be switched off"):
        follow(scene, enroll)
    scene.machine().fault = "says-off"
    scene.pass_rounds(80)
    assert scene.machine().state is HostState.MONITORED
    assert scene.machine().record.proven == 0.0


def test_a_host_that_does_not_wake_is_no_success() -> None:
    """A script would go on as if the host were there."""
    scene = Scene().asleep()
    scene.machine().fault = "lying"
    with pytest.raises(Refused, match="did not come within"):
        follow(scene, switch_on)


def test_on_waits_for_a_host_that_is_just_going_off() -> None:
    """Somebody who changes his mind would have to find the right second."""
    scene = Scene()
    scene.off()
    assert follow(scene, switch_on)[-1] == "awake"
    assert scene.machine().state is HostState.MONITORED


def test_what_we_did_not_switch_off_is_not_switched_on() -> None:
    """A colleague's host would be woken under his hands."""
    with pytest.raises(Refused, match="onext did not power it off"):
        follow(Scene(), switch_on)
