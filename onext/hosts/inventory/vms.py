"""VMs of a cluster: their size, what may be done with them, and where they may be placed.

Their owners write most of what is read here. A VM that cannot be read is kept where it is; the others count.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from onext import bounds
from onext.cloud import model
from onext.cloud.model import scalar
from onext.hosts.inventory import immovable
from onext.hosts.inventory.cpu_models import CpuModels
from onext.hosts.inventory.groups import Ties
from onext.hosts.inventory.requirements import Attributes, Matcher, Unreadable, parse
from onext.hosts.inventory.snapshot import PIN
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
    models: CpuModels
    listed: Mapping[int, int] = field(default_factory=dict)  # VM id -> the host in whose list it is


def vm_of(vm: model.Vm, judge: Judge) -> Vm | None:
    """Return a VM as the planner sees it; None when it is neither on a host nor waiting for one."""
    problem = next(_problems(vm), "")
    host = last_host(vm)
    if problem and host < 0:
        host = judge.listed.get(vm.id, -1)
    if not problem and vm.state == VmState.PENDING:
        host = -1
    elif (not problem and vm.state in NOWHERE) or host < 0:
        return None
    hosts, unreadable = _hosts(vm, judge)
    return Vm(
        vm.id,
        bounds.words(vm.name, 128),
        ZERO if problem else Size(round(100 * vm.cpu), vm.memory),
        Kind.BUSY if problem else _kind(vm.state, vm.lcm_state),
        host,
        problem or unreadable or _fixed(vm, judge),
        hosts,
        frozenset(judge.ties.apart.get(vm.id, ())),
        judge.ties.together.get(vm.id, ""),
        max(0, vm.gid),
        vm.began,
        bool(problem or unreadable),
    )


def _problems(vm: model.Vm) -> Iterator[str]:
    """Yield what of a VM cannot be read: it is kept where it is."""
    if vm.problem:
        yield f"it cannot be read: {vm.problem}"
    if vm.state not in KNOWN:
        yield f"its state {vm.state} is unknown to this version"
    if vm.cpu > LARGEST_CPU or vm.memory > LARGEST_MEMORY:
        yield f"no host has {vm.cpu:g} cores and {vm.memory} MiB"


def last_host(vm: model.Vm) -> int:
    """Return the host of the last history record, -1 without one; of an invalid VM the host that it names."""
    return vm.named_host if vm.problem else vm.host_id


def size(template: Element | None) -> Size | None:
    """Return what a template asks for: CPU in cores and MEMORY in MiB become the planner's units.

    None where one of them cannot be read.
    """
    if template is None:
        return ZERO
    cpu = bounds.number(template.findtext("CPU", "0") or "0", 0, LARGEST_CPU)
    memory = bounds.number(template.findtext("MEMORY", "0") or "0", 0, LARGEST_MEMORY)
    return None if cpu is None or memory is None else Size(round(100 * cpu), round(memory))


def _kind(state: int, lcm: int) -> Kind:
    if state == VmState.PENDING:
        return Kind.PENDING
    if state == VmState.ACTIVE:
        return Kind.RUNNING if lcm == RUNNING else Kind.BUSY
    return Kind.PARKED if state in (VmState.SUSPENDED, VmState.POWEROFF) else Kind.BUSY


def _fixed(vm: model.Vm, judge: Judge) -> str:
    """Return why a VM cannot move; empty where it can."""
    if found := immovable.reason(vm):
        return found
    trusted = judge.pins_count or vm.gid == 0
    if trusted and scalar(vm.user_template, PIN).upper() in immovable.YES:
        return f"{PIN} was set"
    return ""


def _hosts(vm: model.Vm, judge: Judge) -> tuple[frozenset[int] | None, str]:
    """Return where a VM may be placed, and why it may not move at all where that cannot be read."""
    allowed: frozenset[int] | None = None
    for expression in vm.requirements:
        try:
            found = judge.places.allowed(expression, vm.uid)
        except Unreadable as error:
            return frozenset(), f"its requirements cannot be read: {bounds.words(str(error), 160)}"
        allowed = _both(allowed, found)
    allowed = _both(allowed, judge.models.allowed(vm.template))
    affined, averse = judge.ties.hosts.get(vm.id), judge.ties.not_hosts.get(vm.id)
    if affined or averse:
        allowed = frozenset(judge.places.hosts) if allowed is None else allowed
        allowed = (allowed & affined if affined else allowed) - (averse or set())
    return allowed, ""


def _both(one: frozenset[int] | None, other: frozenset[int] | None) -> frozenset[int] | None:
    """Return the hosts in both; None means all."""
    return other if one is None else one if other is None else one & other
