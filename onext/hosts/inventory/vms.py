"""VMs of a cluster: their size, what may be done with them, and where they may be placed.

Their owners write most of what is read here. A VM that cannot be read is kept where it is; the others count.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from onext import bounds
from onext.hosts.inventory import immovable
from onext.hosts.inventory.groups import Ties
from onext.hosts.inventory.requirements import Attributes, Matcher, Unreadable, parse
from onext.hosts.inventory.snapshot import PIN, PROBLEM
from onext.hosts.model import Kind, Vm
from onext.hosts.placement.problem import ZERO, Size
from onext.oned.objects import RUNNING, VmState
from onext.xml import Element

BOUND = (VmState.ACTIVE, VmState.SUSPENDED, VmState.POWEROFF, VmState.FAILED)
NOWHERE = (VmState.DONE, VmState.STOPPED, VmState.UNDEPLOYED, VmState.CLONING, VmState.INIT)
KNOWN = frozenset(VmState)
WORK = 2_000_000  # comparisons that all requirements of one user's VMs may cost in a round: about a second
LARGEST_CPU, LARGEST_MEMORY = 1e5, 1e9  # cores, MiB


@dataclass
class Places:
    """Where requirements allow a VM: each expression is evaluated once for all hosts."""

    hosts: Mapping[int, Attributes]
    known: dict[str, frozenset[int] | Unreadable | None] = field(default_factory=dict)
    spent: dict[int, int] = field(default_factory=dict)  # by user
    _matcher: Matcher | None = None

    def allowed(self, expression: str, user: int = 0) -> frozenset[int] | None:
        """Return the hosts that match; None where all do. Raise Unreadable, also beyond the user's budget."""
        if expression not in self.known:
            try:
                self.known[expression] = self._evaluated(expression, user)
            except Unreadable as error:
                self.known[expression] = error
        found = self.known[expression]
        if isinstance(found, Unreadable):
            raise found
        return found

    def _evaluated(self, expression: str, user: int) -> frozenset[int] | None:
        self._matcher = self._matcher or Matcher(self.hosts)
        steps = parse(expression)
        spent = self.spent.get(user, 0) + self._matcher.cost(steps)
        if spent > WORK:
            raise Unreadable(f"the requirements of user {user}'s VMs take too much time to evaluate")
        self.spent[user] = spent
        matching = self._matcher.matching(steps)
        return None if len(matching) == len(self.hosts) else matching


@dataclass(frozen=True)
class Judge:
    """What a VM is judged by."""

    places: Places
    ties: Ties
    pins_count: bool
    listed: Mapping[int, int] = field(default_factory=dict)  # VM id -> the host in whose list it is


def vm_of(element: Element, judge: Judge) -> Vm | None:
    """Read a VM; None when it is neither on a host nor waiting for one."""
    number = bounds.whole(element.findtext("ID"), 0, 2**31)
    if number is None:
        return None
    problem = next(_problems(element), "")
    state = bounds.whole(element.findtext("STATE"), 0, 10**6)
    host = last_host(element)
    if problem and host < 0:
        host = judge.listed.get(number, -1)
    if not problem and state == VmState.PENDING:
        host = -1
    elif (not problem and state in NOWHERE) or host < 0:
        return None
    hosts, unreadable = _hosts(element, number, judge)
    return Vm(
        number,
        bounds.words(element.findtext("NAME"), 128),
        size(element.find("TEMPLATE")) or ZERO,
        Kind.BUSY if problem else _kind(state, bounds.whole(element.findtext("LCM_STATE"), -1, 10**6)),
        host,
        problem or unreadable or _fixed(element, judge),
        hosts,
        frozenset(judge.ties.apart.get(number, ())),
        judge.ties.together.get(number, ""),
        bounds.whole(element.findtext("GID"), 0, 2**31) or 0,
        bounds.number(element.findtext("STIME"), 0, 1e11) or 0.0,
        bool(problem or unreadable),
    )


def _problems(element: Element) -> Iterator[str]:
    """Yield what of a VM cannot be read: it is kept where it is."""
    if problem := element.findtext(PROBLEM):
        yield f"it cannot be read: {problem}"
    state = bounds.whole(element.findtext("STATE"), 0, 10**6)
    if state not in KNOWN:
        yield f"its state {bounds.words(element.findtext('STATE'), 20)!r} is unknown to this version"
    if bounds.whole(element.findtext("LCM_STATE"), -1, 10**6) is None:
        yield "its LCM_STATE cannot be read"
    if size(element.find("TEMPLATE")) is None:
        yield "its CPU or MEMORY cannot be read"
    records = element.findall("HISTORY_RECORDS/HISTORY")
    if records and bounds.whole(records[-1].findtext("HID"), -1, 2**31) is None:
        yield "the host of its history cannot be read"


def last_host(vm: Element) -> int:
    """Return the host of the last history record, -1 without one."""
    records = vm.findall("HISTORY_RECORDS/HISTORY")
    found = bounds.whole(records[-1].findtext("HID"), -1, 2**31) if records else None
    return -1 if found is None else found


def size(template: Element | None) -> Size | None:
    """Return what a template asks for: CPU in cores and MEMORY in MiB become the planner's units.

    None where one of them cannot be read.
    """
    if template is None:
        return ZERO
    cpu = bounds.number(template.findtext("CPU", "0") or "0", 0, LARGEST_CPU)
    memory = bounds.number(template.findtext("MEMORY", "0") or "0", 0, LARGEST_MEMORY)
    return None if cpu is None or memory is None else Size(round(100 * cpu), round(memory))


def _kind(state: int | None, lcm: int | None) -> Kind:
    if state == VmState.PENDING:
        return Kind.PENDING
    if state == VmState.ACTIVE:
        return Kind.RUNNING if lcm == RUNNING else Kind.BUSY
    return Kind.PARKED if state in (VmState.SUSPENDED, VmState.POWEROFF) else Kind.BUSY


def _fixed(vm: Element, judge: Judge) -> str:
    """Return why a VM cannot move; empty where it can."""
    if found := immovable.reason(vm):
        return found
    trusted = judge.pins_count or vm.findtext("GID") == "0"
    if trusted and vm.findtext(f"USER_TEMPLATE/{PIN}", "").upper() in immovable.YES:
        return f"{PIN} was set"
    return ""


def _hosts(vm: Element, number: int, judge: Judge) -> tuple[frozenset[int] | None, str]:
    """Return where a VM may be placed, and why it may not move at all where that cannot be read."""
    user = bounds.whole(vm.findtext("UID"), 0, 2**31) or 0
    allowed: frozenset[int] | None = None
    for path in ("TEMPLATE/AUTOMATIC_REQUIREMENTS", "USER_TEMPLATE/SCHED_REQUIREMENTS"):
        try:
            found = judge.places.allowed(vm.findtext(path, ""), user)
        except Unreadable as error:
            return frozenset(), f"its requirements cannot be read: {bounds.words(str(error), 160)}"
        allowed = found if allowed is None else allowed if found is None else allowed & found
    affined, averse = judge.ties.hosts.get(number), judge.ties.not_hosts.get(number)
    if affined or averse:
        allowed = frozenset(judge.places.hosts) if allowed is None else allowed
        allowed = (allowed & affined if affined else allowed) - (averse or set())
    return allowed, ""
