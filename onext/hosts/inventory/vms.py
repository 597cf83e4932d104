"""VMs of a cluster: their size, what may be done with them, and where they may stand."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from onext.hosts.inventory.groups import Ties
from onext.hosts.inventory.requirements import Unreadable, compile_test
from onext.hosts.inventory.snapshot import PIN
from onext.hosts.model import Kind, Vm
from onext.hosts.placement.problem import Size
from onext.oned.objects import RUNNING, VmState
from onext.xml import Element

BOUND = (VmState.ACTIVE, VmState.SUSPENDED, VmState.POWEROFF, VmState.FAILED)
NOWHERE = (VmState.DONE, VmState.STOPPED, VmState.UNDEPLOYED, VmState.CLONING, VmState.INIT)
LOCAL = ("ssh", "local", "fs_lvm_ssh")
FIXING = (("PCI", "it has a PCI device"), ("TOPOLOGY", "it has a NUMA topology"))


@dataclass
class Places:
    """Where requirements let a VM stand: each expression is looked at once for all hosts."""

    hosts: Mapping[int, Mapping[str, str]]
    known: dict[str, frozenset[int] | None] = field(default_factory=dict)

    def allowed(self, expression: str) -> frozenset[int] | None:
        """Return the hosts that match; None where all do. Raise Unreadable."""
        if expression not in self.known:
            test = compile_test(expression)
            matching = frozenset(host for host, attributes in self.hosts.items() if test(attributes))
            self.known[expression] = None if len(matching) == len(self.hosts) else matching
        return self.known[expression]


@dataclass(frozen=True)
class Judge:
    """What a VM is judged by."""

    places: Places
    ties: Ties
    pins_count: bool


def vm_of(element: Element, judge: Judge) -> Vm | None:
    """Read a VM; None where it neither stands on a host nor waits for one."""
    state = VmState(int(element.findtext("STATE", "0")))
    host = last_host(element)
    if state is VmState.PENDING:
        host = -1
    elif state not in BOUND or host < 0:
        return None
    number = int(element.findtext("ID", "-1"))
    hosts, unreadable = _hosts(element, number, judge)
    return Vm(
        number,
        element.findtext("NAME", ""),
        size(element.find("TEMPLATE")),
        _kind(state, int(element.findtext("LCM_STATE", "0"))),
        host,
        unreadable or next(_fixed(element, judge), ""),
        hosts,
        frozenset(judge.ties.apart.get(number, ())),
        judge.ties.together.get(number, ""),
        int(element.findtext("GID", "0")),
        float(element.findtext("STIME", "0")),
    )


def last_host(vm: Element) -> int:
    """Return the host of the last history record, -1 where there is none."""
    records = vm.findall("HISTORY_RECORDS/HISTORY")
    return int(records[-1].findtext("HID", "-1")) if records else -1


def size(template: Element | None) -> Size:
    """Return what a template asks for: CPU in cores and MEMORY in MiB become the planner's units."""
    if template is None:
        return Size(0, 0)
    return Size(round(100 * _number(template.findtext("CPU"))), round(_number(template.findtext("MEMORY"))))


def _number(text: str | None) -> float:
    try:
        return float(text or 0)
    except ValueError:
        return 0.0


def _kind(state: VmState, lcm: int) -> Kind:
    if state is VmState.PENDING:
        return Kind.PENDING
    if state is VmState.ACTIVE:
        return Kind.RUNNING if lcm == RUNNING else Kind.BUSY
    return Kind.PARKED if state in (VmState.SUSPENDED, VmState.POWEROFF) else Kind.BUSY


def _fixed(vm: Element, judge: Judge) -> Iterator[str]:
    """Say why a VM cannot move."""
    template = vm.find("TEMPLATE")
    for tag, reason in FIXING:
        if template is not None and _asks(template.find(tag)):
            yield reason
    records = vm.findall("HISTORY_RECORDS/HISTORY")
    if records and records[-1].findtext("TM_MAD", "") in LOCAL:
        yield "its disks are on the host's own datastore"
    trusted = judge.pins_count or vm.findtext("GID") == "0"
    if trusted and vm.findtext(f"USER_TEMPLATE/{PIN}", "").upper() in ("YES", "TRUE", "1"):
        yield f"{PIN} was set"


def _asks(element: Element | None) -> bool:
    """Whether an attribute asks for a device, pinned CPUs or huge pages (many a TOPOLOGY asks for none)."""
    if element is None:
        return False
    pinned = element.findtext("PIN_POLICY", "NONE") not in ("", "NONE")
    return element.tag != "TOPOLOGY" or pinned or bool(element.findtext("HUGEPAGE_SIZE"))


def _hosts(vm: Element, number: int, judge: Judge) -> tuple[frozenset[int] | None, str]:
    """Return where a VM may stand, and why it may not move at all where that cannot be read."""
    parts = (vm.findtext("TEMPLATE/AUTOMATIC_REQUIREMENTS"), vm.findtext("USER_TEMPLATE/SCHED_REQUIREMENTS"))
    expression = " & ".join(f"({part})" for part in parts if part and part.strip())
    try:
        allowed = judge.places.allowed(expression)
    except Unreadable as error:
        return frozenset(), f"its requirements cannot be read: {error}"
    affined, averse = judge.ties.hosts.get(number), judge.ties.not_hosts.get(number)
    if affined or averse:
        allowed = frozenset(judge.places.hosts) if allowed is None else allowed
        allowed = (allowed & affined if affined else allowed) - (averse or set())
    return allowed, ""
