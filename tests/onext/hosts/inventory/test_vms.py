"""What a VM is to the planner: its size, kind and place, and where it may go."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import pytest

from onext.cloud import model
from onext.cloud.model import Stay
from onext.hosts.inventory.cpu_models import CpuModels
from onext.hosts.inventory.groups import Ties
from onext.hosts.inventory.requirements import Unreadable
from onext.hosts.inventory.vms import WORK, Judge, Places, size, vm_of
from onext.hosts.model import Kind, Vm
from onext.hosts.placement.problem import ZERO, Size
from onext.xml import parse

PLACES = {number: {"ID": str(number)} for number in range(4)}


def judged(
    pins_count: bool = False,
    ties: Ties | None = None,
    listed: Mapping[int, int] = MappingProxyType({}),
    **values: Any,
) -> Vm | None:
    """Return VM 7 of user 5 on host 1 as the planner sees it."""
    usual: dict[str, Any] = {
        "name": "vm", "state": 3, "lcm_state": 3, "cpu": 1.5, "memory": 512, "uid": 5, "gid": 105, "host": 1,
    }  # fmt: skip
    how = {**usual, **values}
    host = how.pop("host")
    vm = model.Vm(
        7, **how, stay=Stay(0, host, "", 100, 0, "kvm", "shared", 1.0, 0.0, 0) if host >= 0 else None
    )
    return vm_of(vm, Judge(Places(PLACES), ties or Ties(), pins_count, CpuModels(PLACES), listed))


def found(**values: Any) -> Vm:
    one = judged(**values)
    assert one is not None
    return one


@pytest.mark.parametrize(
    ("state", "lcm", "kind", "host"),
    [
        (1, 0, Kind.PENDING, -1),
        (3, 3, Kind.RUNNING, 1),
        (3, 2, Kind.BUSY, 1),
        (5, 0, Kind.PARKED, 1),
        (8, 0, Kind.PARKED, 1),
        (7, 0, Kind.BUSY, 1),
        (99, 0, Kind.BUSY, 1),
    ],
)
def test_what_may_be_done_with_a_vm_of_each_state(state: int, lcm: int, kind: Kind, host: int) -> None:
    """A VM in the middle of a change would be moved, or one that is powered off lose its host."""
    one = found(state=state, lcm_state=lcm)
    assert (one.kind, one.host) == (kind, host)
    assert bool(one.fixed) is (state == 99)
    assert one.size == (ZERO if state == 99 else Size(150, 512))


@pytest.mark.parametrize(
    ("values", "there"),
    [
        *(({"state": state}, False) for state in (0, 4, 6, 9, 10)),
        ({"host": -1}, False),
        ({"host": 0}, True),
        ({"host": -1, "state": 1}, True),
        ({"state": 6, "problem": "x", "named_host": 0}, True),
    ],
)
def test_only_vms_that_are_somewhere_or_wait_count(values: dict[str, Any], there: bool) -> None:
    """A stopped VM would hold the host that it left."""
    assert (judged(**values) is not None) is there


@pytest.mark.parametrize(
    ("values", "host"),
    [
        ({"problem": "x", "named_host": 2}, 2),
        ({"problem": "x", "named_host": 0, "listed": {7: 3}}, 0),
        ({"problem": "x", "named_host": -1, "listed": {7: 3}}, 3),
        ({"problem": "x", "named_host": -1}, None),
        ({"state": 99, "host": -1, "listed": {7: 3}}, 3),
        ({"host": -1, "listed": {7: 3}}, None),
    ],
)
def test_C7_a_vm_that_cannot_be_read_stays_on_the_host_that_names_it(
    values: dict[str, Any], host: int | None
) -> None:
    """Its host would look empty, and be switched off with it."""
    one = judged(**values)
    assert (one.host if one else None) == host
    assert one is None or (one.invalid and one.fixed and one.kind is Kind.BUSY)


@pytest.mark.parametrize(
    ("values", "fixed"),
    [
        ({"cpu": 1e5, "memory": 1}, False),
        ({"cpu": 1.1e5, "memory": 1}, True),
        ({"memory": 1_000_000_000}, False),
        ({"memory": 1_000_000_001}, True),
    ],
)
def test_C7_a_size_that_no_host_has_is_a_mistake(values: dict[str, Any], fixed: bool) -> None:
    """One such VM would be the buffer of the whole cluster."""
    assert bool(found(**values).fixed) is fixed


PINNED: dict[str, Any] = {"user_template": {"ONEXT_POWER_PIN": "Yes"}}


@pytest.mark.parametrize(
    ("values", "fixed"),
    [
        (PINNED, False),
        ({**PINNED, "gid": 0}, True),
        ({**PINNED, "pins_count": True}, True),
        ({"user_template": {"ONEXT_POWER_PIN": "no"}, "gid": 0}, False),
    ],
)
def test_whose_pin_counts(values: dict[str, Any], fixed: bool) -> None:
    """Any tenant could keep hosts awake."""
    assert found(**values).fixed == ("ONEXT_POWER_PIN was set" if fixed else "")


@pytest.mark.parametrize(("gid", "group"), [(-1, 0), (0, 0), (1, 1), (105, 105)])
def test_a_vm_belongs_to_its_group(gid: int, group: int) -> None:
    """A group's buffer would be made of another one's VMs."""
    assert found(gid=gid).group == group


def tied(hosts: set[int] | None = None, averse: set[int] | None = None) -> Ties:
    ties = Ties()
    if hosts:
        ties.hosts[7] = hosts
    if averse:
        ties.not_hosts[7] |= averse
    return ties


def asks(own: str = "", asked: str = "") -> dict[str, Any]:
    return {"template": {"AUTOMATIC_REQUIREMENTS": own}, "user_template": {"SCHED_REQUIREMENTS": asked}}


@pytest.mark.parametrize(
    ("requirements", "ties", "hosts"),
    [
        ((), Ties(), None),
        (("ID >= 0",), Ties(), None),
        (("ID < 2",), Ties(), {0, 1}),
        (("ID < 3", "ID > 1"), Ties(), {2}),
        (("ID < 3", "ID >= 0"), Ties(), {0, 1, 2}),
        (("ID >= 0", "ID < 3"), Ties(), {0, 1, 2}),
        ((), tied({1, 2}), {1, 2}),
        ((), tied(averse={1}), {0, 2, 3}),
        (("ID < 2",), tied({1, 2}, {2}), {1}),
        (("ID < 2",), tied(averse={0, 1}), set()),
    ],
)
def test_where_a_vm_may_be_placed(requirements: tuple[str, ...], ties: Ties, hosts: set[int] | None) -> None:
    """It would be moved to where its owner or its group forbids it."""
    assert found(**asks(*requirements), ties=ties).hosts == hosts


def test_requirements_that_cannot_be_read_keep_a_vm_where_it_is() -> None:
    """It would be moved by half an expression."""
    one = found(**asks("ID = 1", "ID ="))
    assert (one.hosts, one.invalid) == (frozenset(), True)
    assert one.fixed.startswith("its requirements cannot be read: ")


@pytest.mark.parametrize(
    ("template", "wanted"),
    [
        ("<T><CPU>1.5</CPU><MEMORY>512</MEMORY></T>", Size(150, 512)),
        ("<T><CPU>0.005</CPU><MEMORY>512.6</MEMORY></T>", Size(0, 513)),
        ("<T><MEMORY>512</MEMORY></T>", Size(0, 512)),
        ("<T><CPU/><MEMORY>512</MEMORY></T>", Size(0, 512)),
        ("<T><CPU>2</CPU></T>", Size(200, 0)),
        ("<T><CPU>2</CPU><MEMORY/></T>", Size(200, 0)),
        ("<T><CPU>x</CPU><MEMORY>512</MEMORY></T>", None),
        ("<T><CPU>1</CPU><MEMORY>-1</MEMORY></T>", None),
        ("<T><CPU>-1</CPU></T>", None),
        ("<T><CPU>100001</CPU></T>", None),
    ],
)
def test_a_flavour_is_read_whole_or_left_out(template: str, wanted: Size | None) -> None:
    """One template of oneadmin that is wrong would be the largest flavour, or end the round."""
    assert size(parse(template)) == wanted
    assert size(None) == ZERO


def test_S3_work_is_counted_for_each_user_and_expressions_are_remembered() -> None:
    """Many VMs with one requirement would use up their owner's time."""
    places = Places(PLACES)
    assert places.allowed("ID = 1", 5) == frozenset({1})
    cost = places.spent[5]
    assert cost == 4 + 50
    places.allowed("ID = 1", 6)
    assert (places.spent, places.allowed("ID = 1", 5)) == ({5: cost}, frozenset({1}))
    places.spent[5] = WORK - 54
    assert places.allowed("ID = 2", 5) == frozenset({2})
    assert places.spent[5] == WORK
    with pytest.raises(Unreadable, match="user 5's VMs take too much time"):
        places.allowed("ID = 3", 5)
    with pytest.raises(Unreadable, match="user 5's VMs take too much time"):
        places.allowed("ID = 3", 6)
    assert places.allowed("ID = 0", 6) == frozenset({0})
