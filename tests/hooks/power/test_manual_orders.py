"""Orders by hand: the same checks as by itself."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from types import SimpleNamespace
from typing import cast

import pytest

from hooks.power import part
from hooks.power.decide import Memory, decide
from hooks.power.manual_orders import (
    Order,
    Refused,
    emptying,
    enroll,
    evacuation,
    require_empty,
    require_ours,
    switch_on,
)
from hooks.power.part import Assessment
from hooks.power.policy import Policy
from onext.hosts.actions.world import Failed
from onext.hosts.model import Bmc, Claim, Cluster, Host, Kind, Phase, Record, Vm
from onext.hosts.placement.problem import Size
from onext.oned.objects import HostState
from onext.part import Context
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


def order(here: Cluster, number: int = 0, policy: Policy = POLICY) -> Order:
    scene = Scene()
    decision = decide(here, policy, scene.cloud.now, Memory())
    return Order(scene.actuator, Assessment(here, policy, decision), here.hosts[number])


def with_record(here: Cluster, record: Record, **changes: object) -> Cluster:
    first = replace(here.hosts[0], record=record, monitored=START, **changes)  # type: ignore[arg-type]
    return replace(here, hosts=(first, *here.hosts[1:]))


TIRED = Record(proven=START - 86_400, on_since=START, offs=(START - 1,) * 99)


@pytest.mark.parametrize(
    ("record", "how", "said"),
    [
        (TIRED, {}, ""),
        (Record(), {}, "not enrolled"),
        (Record(), {"unproven": True}, ""),
        (Record(proven=START - 40 * 86_400), {}, "last proven to wake 40 days ago"),
        (Record(proven=START - 40 * 86_400), {"unproven": True}, ""),
        (Record(proven=START - 40 * 86_400), {"evacuate": True}, "last proven"),
    ],
)
def test_a_person_needs_no_idle_time_and_no_cycle_left_but_proof(
    record: Record, how: dict[str, bool], said: str
) -> None:
    """An order would be refused for rules that are the planner's, or a host that never proved to wake be lost."""
    placed = order(with_record(cluster(0), record))
    if said:
        with pytest.raises(Refused, match=f"node-0: .*{said}"):
            emptying(placed, **how)
    else:
        assert emptying(placed, **how) == ()


def test_vms_are_moved_only_where_the_order_or_the_policy_allows_it() -> None:
    """Tenants' VMs would move for an order that did not ask for it."""
    here = with_record(cluster(2), TIRED)
    with pytest.raises(Refused, match=r"not empty \(2 VMs\) and PACK is no"):
        emptying(order(here))
    assert len(emptying(order(here), evacuate=True)) == 2
    assert len(emptying(order(here, policy=replace(POLICY, pack=True)))) == 2


@pytest.mark.parametrize(
    ("count", "policy", "said"),
    [
        (2, replace(POLICY, buffer_vms=1), ""),
        (3, replace(POLICY, buffer_vms=1), "the buffer for new VMs"),
        (3, replace(POLICY, buffer_vms=0, buffer_size=Size(100, 1024)), ""),
        (3, replace(POLICY, buffer_vms=0, buffer_size=Size(101, 1024)), "the buffer for new VMs"),
        (4, replace(POLICY, buffer_vms=0), ""),
        (
            4,
            replace(POLICY, buffer_vms=0, target_utilisation=0.75),
            "its VMs find no place on the other hosts",
        ),
        (1, replace(POLICY, min_hosts=1, buffer_vms=0), ""),
    ],
)
def test_E5_an_order_is_refused_at_the_first_vm_too_many(count: int, policy: Policy, said: str) -> None:
    """Room that others count on would go, or an order be refused that leaves all of it."""
    here = cluster(count)
    if said:
        with pytest.raises(Refused, match=said):
            evacuation(here, policy, here.hosts[0])
    else:
        assert len(evacuation(here, policy, here.hosts[0])) == count


def test_only_an_empty_host_is_enrolled() -> None:
    """Its VMs would be moved away for a proof."""
    with pytest.raises(Refused, match="node-0: only an empty host is enrolled"):
        require_empty(order(cluster(1)))
    require_empty(order(cluster(1), 1))


@pytest.mark.parametrize("phase", [None, *Phase])
def test_only_a_host_that_onext_took_is_switched_on(phase: Phase | None) -> None:
    """A host that somebody else switched off would start under his hands."""
    here = cluster(0)
    claim = Claim(phase, START) if phase else None
    placed = order(with_record(here, Record(), claim=claim, state=HostState.OFFLINE))
    if phase in (None, Phase.LEFT):
        with pytest.raises(Refused, match="onext did not power it off"):
            require_ours(placed)
    else:
        require_ours(placed)


def test_on_begins_where_the_last_step_ended() -> None:
    """A person who wants a host back would be told to wait for a step that nobody takes."""
    for phase, said in (
        (Phase.DRAINING, "returned to service: by hand"),
        (Phase.CLOSING, "waiting for monitoring"),
        (Phase.QUARANTINED, "asked to switch on"),
        (Phase.OFF, "asked to switch on"),
        (Phase.RETURNING, "waiting for monitoring"),
    ):
        scene = Scene()
        machine = scene.machine()
        asleep = phase in (Phase.OFF, Phase.QUARANTINED)
        capacity = {} if phase is Phase.DRAINING else {"TOTAL_CPU": "800"}
        machine.claim = Claim(phase, START, 0, 1, 120.0, capacity=capacity)
        machine.state = HostState.DISABLED if phase is Phase.DRAINING else HostState.OFFLINE
        machine.on = not asleep
        lines = follow(scene, switch_on)
        assert lines[0] == said
        assert machine.state is HostState.MONITORED
        assert scene.told("leave") == []


def test_another_servers_step_is_waited_for() -> None:
    """Two front-ends would act on one host at once."""
    scene = Scene()
    scene.machine().state = HostState.OFFLINE
    scene.machine().claim = Claim(Phase.CLOSING, START, 1, 2, 120.0, capacity={"TOTAL_CPU": "800"})
    lines = follow(scene, switch_on)
    assert lines[0] == "another server's intent still binds"
    assert lines[-1].startswith("returned to service")


def test_what_fails_is_tried_again_until_it_is_done() -> None:
    """One answer of oned that came too late would end the order in the middle."""
    scene = Scene()
    scene.asleep()

    def fails() -> None:
        raise Failed("oned does not answer")

    scene.before["write waking"] = fails
    lines = follow(scene, switch_on)
    assert lines[0] == "tried again: oned does not answer"
    assert lines[-1] == "awake"


def test_an_order_is_for_hosts_of_our_clusters_or_of_all(monkeypatch: pytest.MonkeyPatch) -> None:
    """`onext power off` would switch off a host of a cluster that power leaves alone; before an uninstall all wake."""
    clusters = {number: SimpleNamespace(id=number, problem="") for number in (100, 101, 102)}
    clusters[102].problem = "cannot be read"
    seen = SimpleNamespace(cloud=SimpleNamespace(clusters=clusters))
    asked: list[int] = []

    def assess(_context: object, _seen: object, number: int, _state: object) -> SimpleNamespace:
        asked.append(number)
        return SimpleNamespace(cluster=SimpleNamespace(hosts=[SimpleNamespace(id=number - 100)]))

    monkeypatch.setattr(part, "book", lambda _context: ())
    monkeypatch.setattr(part, "assess", assess)
    monkeypatch.setattr(part, "actuator", lambda *_: None)
    monkeypatch.setattr("hooks.power.manual_orders.snapshot", lambda *_: seen)
    settings = SimpleNamespace(power=SimpleNamespace(clusters=(100,)))
    context = cast("Context", SimpleNamespace(settings=settings))
    assert Order.of(context, 0).host.id == 0
    with pytest.raises(Refused, match="none of the clusters"):
        Order.of(context, 1)
    assert asked == [100, 100]
    assert Order.of(context, 1, everywhere=True).host.id == 1
    with pytest.raises(Refused):
        Order.of(context, 2, everywhere=True)
    assert 102 not in asked
