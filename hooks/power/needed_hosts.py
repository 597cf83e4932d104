"""What is missing now (VMs without a host, those of a host in ERROR, the buffer), and who brings it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from math import inf

from hooks.power import buffer
from hooks.power.policy import Policy
from onext.hosts.model import Cluster, Host, Kind, Phase, Vm, total
from onext.hosts.placement.problem import ZERO, Size
from onext.oned.objects import HostState

BACK_OFF = 120.0  # seconds before a VM may wake a second host; doubled each time
SICK = (HostState.ERROR, HostState.MONITORING_ERROR)


@dataclass(frozen=True, slots=True)
class Wakes:
    """How many hosts a waiting VM has had woken, and when the last one."""

    count: int = 0
    last: float = 0.0

    def may_wake(self, policy: Policy, now: float) -> bool:
        """Whether this VM may have one more host woken."""
        if self.count >= policy.wakes_per_vm:
            return False
        return not self.count or now - self.last >= BACK_OFF * 2 ** (self.count - 1)


class Room:
    """The free room of hosts, and which VMs exclude each other: VMs are placed hypothetically."""

    def __init__(self, hosts: Iterable[Host], vms: Mapping[int, Iterable[Vm]]) -> None:
        self.free: dict[int, Size] = {}
        self.sizes: dict[int, Size] = {}
        self.apart: dict[int, set[str]] = {}
        self.vms = vms
        for host in hosts:
            self.open(host)

    def open(self, host: Host) -> None:
        """Let VMs be placed on one host more."""
        there = tuple(self.vms.get(host.id, ()))
        self.free[host.id], self.sizes[host.id] = host.size - total(there), host.size
        self.apart[host.id] = {key for vm in there for key in vm.apart}

    def place(self, size: Size, hosts: frozenset[int] | None, apart: frozenset[str] = frozenset()) -> bool:
        """Take the room of the fullest host that has it; return whether one was found."""
        fits = self._fits(size, hosts, apart)
        if not fits:
            return False
        host = min(fits, key=lambda h: (self.free[h].memory, self.free[h].cpu, h))
        self.free[host] = self.free[host] - size
        self.apart[host] |= apart
        return True

    def has(self, size: Size, hosts: frozenset[int] | None, apart: frozenset[str]) -> bool:
        """Return whether there is room, and take none."""
        return bool(self._fits(size, hosts, apart))

    def _fits(self, size: Size, hosts: frozenset[int] | None, apart: frozenset[str]) -> list[int]:
        return [
            host
            for host, room in self.free.items()
            if size.fits(room) and (hosts is None or host in hosts) and not apart & self.apart[host]
        ]


@dataclass
class Demand:
    """The outcome: hosts to bring, each with its reason; what waits; what cannot be solved."""

    bring: dict[int, str] = field(default_factory=dict)
    for_vms: dict[int, int] = field(default_factory=dict)  # VM -> host brought for it
    unplaced: list[Vm] = field(default_factory=list)  # no room even with all hosts that return
    placed: list[Vm] = field(default_factory=list)  # has, or will have, a place
    overdue: list[Vm] = field(default_factory=list)  # has room and is not placed: counts no more
    missing_buffer: int = 0  # flavours


@dataclass(frozen=True)
class Situation:
    """The input of the search for hosts."""

    cluster: Cluster
    policy: Policy
    now: float
    wakes: Mapping[int, Wakes]


def find_hosts(situation: Situation) -> Demand:
    """Place all that waits on hosts that take VMs or soon will; bring more hosts where it does not fit."""
    vms = situation.cluster.by_host()
    hosts = {host.id: host for host in situation.cluster.hosts}
    room = Room((host for host in situation.cluster.hosts if host.takes_vms or coming(host)), vms)
    options = [host for host in situation.cluster.hosts if may_come(host)]
    options.sort(key=lambda host: (host.phase is Phase.OFF, _watts_per_size(host), host.record.boot_seconds))
    demand = Demand()
    for vm in waiting(situation.cluster, hosts):
        if overdue(vm, situation) and room.has(vm.size, vm.hosts, vm.apart):
            demand.overdue.append(vm)
            continue
        if room.place(vm.size, vm.hosts, vm.apart):
            demand.placed.append(vm)
            continue
        option = _option(vm, options, room, situation)
        if option is None:
            demand.unplaced.append(vm)
            continue
        _bring(demand, option, options, room, f"VM {vm.id} ({vm.name}) fits on no host that is on")
        demand.for_vms[vm.id] = option.id
        if room.place(vm.size, vm.hosts, vm.apart):
            demand.placed.append(vm)
    _fill_buffer(demand, options, room, situation)
    return demand


def short(cluster: Cluster, policy: Policy) -> bool:
    """Whether the buffer is not there at this moment, on hosts that take VMs now."""
    room = Room((host for host in cluster.hosts if host.takes_vms), cluster.by_host())
    wants = [(size, hosts) for count, size, hosts in buffer.wanted(cluster, policy) for _ in range(count)]
    placed = all(room.place(size, hosts) for size, hosts in wants)
    return not placed or not policy.buffer_size.fits(sum(room.free.values(), ZERO))


def waiting(cluster: Cluster, hosts: Mapping[int, Host]) -> list[Vm]:
    """Return VMs without a host, and those of hosts in ERROR, which will need another, oldest first."""
    pending = [vm for vm in cluster.vms if vm.kind is Kind.PENDING]
    lost = [
        replace(vm, host=-1, since=0.0)
        for vm in cluster.vms
        if vm.host in hosts and hosts[vm.host].state in SICK and vm.kind is not Kind.PARKED
    ]
    return sorted(pending + lost, key=lambda vm: (vm.since, vm.id))


def overdue(vm: Vm, situation: Situation) -> bool:
    """Whether a VM has waited longer than is sensible."""
    return vm.kind is Kind.PENDING and situation.now - vm.since > situation.policy.vm_wait_timeout


def coming(host: Host) -> bool:
    """Whether a host is on its way back already; one that failed to wake is not counted on."""
    return host.phase is Phase.RETURNING or (host.phase is Phase.WAKING and not _failing(host))


def _failing(host: Host) -> bool:
    return host.claim is not None and host.claim.failures > 0


def may_come(host: Host) -> bool:
    """Whether we may bring a host back: only what we ourselves took."""
    return host.phase in (Phase.DRAINING, Phase.CLOSING, Phase.OFF) and not host.by_hand


def _watts_per_size(host: Host) -> float:
    return host.curve.idle / host.size.memory if host.size.memory else inf


def _option(vm: Vm, options: list[Host], room: Room, situation: Situation) -> Host | None:
    """Return the first host that this VM may have brought and would fit on."""
    lost = vm.kind is not Kind.PENDING
    may_wake = lost or situation.wakes.get(vm.id, Wakes()).may_wake(situation.policy, situation.now)
    for host in options:
        there = tuple(room.vms.get(host.id, ()))
        allowed = vm.hosts is None or host.id in vm.hosts
        allowed = allowed and not any(vm.apart & other.apart for other in there)
        fits = vm.size.fits(host.size - total(there))
        if allowed and fits and (may_wake or host.phase is not Phase.OFF):
            return host
    return None


def _bring(demand: Demand, host: Host, options: list[Host], room: Room, reason: str) -> None:
    options.remove(host)
    room.open(host)
    demand.bring[host.id] = reason


def _fill_buffer(demand: Demand, options: list[Host], room: Room, situation: Situation) -> None:
    """Place the buffer behind the VMs; bring hosts for what has no room."""
    for count, size, hosts in buffer.wanted(situation.cluster, situation.policy):
        for _ in range(count):
            if room.place(size, hosts):
                continue
            host = next((h for h in options if size.fits(h.size) and (hosts is None or h.id in hosts)), None)
            if host is None:
                demand.missing_buffer += 1
                continue
            _bring(demand, host, options, room, "the buffer for new VMs is short")
            room.place(size, hosts)
    free = sum(room.free.values(), ZERO)
    while not situation.policy.buffer_size.fits(free) and options:
        host = options[0]
        _bring(demand, host, options, room, "less is free than BUFFER_CPU and BUFFER_MEMORY ask")
        free = free + host.size
    while situation.policy.spare_host and options and not _spares_the_largest(room):
        reason = "the others could not take the VMs of the largest host (N+1)"
        _bring(demand, options[0], options, room, reason)
    while len(room.free) < situation.policy.min_hosts and options:
        _bring(demand, options[0], options, room, f"MIN_HOSTS is {situation.policy.min_hosts}")


def _spares_the_largest(room: Room) -> bool:
    """Whether what is free, summed up, would hold the largest host's whole size."""
    sizes = room.sizes.values()
    largest = Size(max((s.cpu for s in sizes), default=0), max((s.memory for s in sizes), default=0))
    return largest.fits(sum(room.free.values(), ZERO))
