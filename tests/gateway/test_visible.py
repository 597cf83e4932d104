"""What of onext's own data a tenant sees: objects in the own pools, and nothing about others in them."""

from __future__ import annotations

from dataclasses import replace

import msgspec
import pytest

from gateway.records import Energy, Event, Incident, IncidentVm, PowerPlan, Step, Target
from gateway.visible import Sight

TENANT = Sight(False, 7, hosts={1}, vms={10, 11}, clusters={100})
ADMINISTRATOR = Sight(True, 0, (), (), ())
PLAN = PowerPlan(
    id=1, name="node", cluster_id=100, phase="off", since=None, then="", reason="VM 12 of bob", bmc="",
    idle_watts=1.0, saved_kwh=1.0, failed_wakes=0,
)  # fmt: skip
VMS = [IncidentVm(vm_id=n, stage="moved", target_id=t, reason="VM 12 of bob") for n, t in ((10, 1), (11, 2))]
INCIDENT = Incident(
    id=1, name="node", cluster_id=100, phase="fenced", first=1.0, since=2.0, reason="VM 12", proof="VM 12",
    vms=VMS, timeline=[Step(at=1.0, what="VM 12", lines=[])],
)  # fmt: skip
EVENT = Event(
    id="1", uid="1", type="t", subject="vm/10", at=1.0, late=False,
    data={"uid": 7, "host": 1, "cluster": 100, "name": "x"}, before={"host": 2, "cluster": 101, "state": 3},
)  # fmt: skip


def test_who_sees_which_object() -> None:
    """A tenant would learn of machines and VMs of others by their numbers."""
    for kind, seen in (("host", 1), ("vm", 10), ("cluster", 100)):
        assert TENANT.sees(kind, seen)
        assert not TENANT.sees(kind, 5)
    assert not TENANT.sees("user", 7)
    assert ADMINISTRATOR.sees("host", 5)
    assert ADMINISTRATOR.sees("user", 5)


def test_plans() -> None:
    """The reason names other hosts and VMs; a host of a hidden cluster must stay hidden."""
    plans = [PLAN, msgspec.structs.replace(PLAN, id=2), msgspec.structs.replace(PLAN, cluster_id=101)]
    assert list(TENANT.plans(plans)) == [msgspec.structs.replace(PLAN, reason="")]
    assert list(ADMINISTRATOR.plans(plans)) == plans


def test_energy_is_for_administrators() -> None:
    """Sums over all users tell what others do."""
    rows = [
        Energy(id=1, name="", mode="", held="", on=1, off=0, saved_kwh=0.0, wakes=0, failed_wakes=0, migrations=0, day=[])
    ]  # fmt: skip
    assert list(ADMINISTRATOR.energy(rows)) == rows
    assert list(TENANT.energy(rows)) == []


def test_incidents() -> None:
    """An incident with a VM of somebody else is left out; in the own ones no other object is named."""
    (seen,) = TENANT.incidents([INCIDENT, msgspec.structs.replace(INCIDENT, id=2)])
    assert (seen.reason, seen.proof, seen.timeline) == ("", "", [])
    assert [(vm.vm_id, vm.stage, vm.target_id, vm.reason) for vm in seen.vms] == [
        (10, "moved", 1, ""),
        (11, "moved", -1, ""),
    ]
    assert list(replace(TENANT, vms={10}).incidents([INCIDENT])) == []
    assert list(replace(TENANT, hosts=()).incidents([INCIDENT])) == []
    assert list(ADMINISTRATOR.incidents([INCIDENT])) == [INCIDENT]


@pytest.mark.parametrize(
    ("vm", "host", "shown"),
    [
        (10, 1, (10, 1)), (10, 2, (10, None)), (10, None, (10, None)), (12, 1, None),
        (None, 1, (None, 1)), (None, 2, None), (None, None, None), (12, None, None),
    ],
)  # fmt: skip
def test_targets(vm: int | None, host: int | None, shown: tuple[int | None, int | None] | None) -> None:
    """A scrape target is an address: of the own VMs and hosts only, without the host that is hidden."""
    target = Target(id="t", job="vm", address="192.0.2.1:9100", vm_id=vm, host_id=host)
    found = [(one.vm_id, one.host_id) for one in TENANT.targets([target])]
    assert found == ([] if shown is None else [shown])
    assert list(ADMINISTRATOR.targets([target])) == [target]


def test_events() -> None:
    """A user must not see the former host of a VM whose host is hidden now; owners see their VM to its end."""
    seen = TENANT.event(EVENT)
    assert seen is not None
    assert seen.data == {"uid": 7, "host": 1, "cluster": 100, "name": "x"}
    assert seen.before == {"state": 3}
    assert ADMINISTRATOR.event(EVENT) is EVENT


@pytest.mark.parametrize(
    ("subject", "data", "visible"),
    [
        ("vm/12", {"uid": 7}, True), ("vm/12", {"uid": 8}, False), ("vm/10", {"uid": 8}, True), ("vm/12", {}, False),
        ("host/1", {"uid": 7}, True), ("host/2", {"uid": 7}, False), ("cluster/100", {}, True),
        ("user/10", {}, False), ("vm/x", {}, False), ("vm/", {}, False), ("vm/\u00b2", {}, False), ("", {}, False),
    ],
)  # fmt: skip
def test_whose_event_it_is(subject: str, data: dict[str, str | int | float], visible: bool) -> None:
    """A stream of all changes would tell a tenant when others work."""
    event = msgspec.structs.replace(EVENT, subject=subject, data=data)
    assert (TENANT.event(event) is not None) == visible


def test_references_in_events() -> None:
    """-1 means no host; a text that is not a number names no object."""
    facts: dict[str, str | int | float] = {"host": -1, "cluster": "100"}
    seen = TENANT.event(msgspec.structs.replace(EVENT, data=facts, before={"host": 2.0, "cluster": -1}))
    assert seen is not None
    assert (seen.data, seen.before) == ({"host": -1}, {"cluster": -1})
