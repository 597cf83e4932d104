"""Admission control: which host's loss, and which two hosts' loss, would leave VMs without a place.

Every single loss is tried. Pairs of a large cluster are too many, so only those are tried that could matter:
two losses whose VMs found room on different hosts, or beside each other, need no trial.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product

from hooks.availability.placement import Places, size_of
from hooks.availability.policy import Policy
from onext.cloud.model import Host, Vm
from onext.cloud.snapshot import Cloud
from onext.hosts.inventory.groups import Ties
from onext.hosts.placement.problem import ZERO, Size
from onext.oned.objects import VmState

MOST_TRIED = 10_000  # pairs of one cluster that are tried
MOST_DOUBTFUL = 100_000  # pairs of hosts examined in one cluster
MOST_NAMED = 100  # pairs of one cluster that are reported

Priority = Callable[[Vm], int]
Pair = tuple[int, int]


@dataclass(frozen=True)
class Loss:
    """Hosts that fail together, how many VMs they have, and which of these would find no host."""

    hosts: tuple[Host, ...]
    vms: int
    without: tuple[int, ...]


@dataclass(frozen=True)
class Admission:
    """What one cluster can lose. `pairs` has only pairs that leave VMs which no single loss leaves.

    `more` counts such pairs that are not in `pairs`, `untried` those (at least) that were too many to try.
    """

    singles: tuple[Loss, ...]
    pairs: tuple[Loss, ...]
    more: int = 0
    untried: int = 0

    @property
    def absorbed(self) -> int:
        """Return how many hosts may fail with a place for each VM whichever they are: 0, 1, or 2."""
        if any(loss.without for loss in self.singles):
            return 0
        return 1 if self.pairs or self.untried else 2

    def worst(self, hosts: int) -> int:
        """Return the most VMs that the loss of one host, or of two, leaves without a place."""
        single = max((len(loss.without) for loss in self.singles), default=0)
        pairs = [len(loss.without) for loss in self.pairs] if hosts > 1 else []
        return max([single, *pairs])


@dataclass(frozen=True)
class _Plan:
    """Where the VMs of one lost host would go: room used and VM groups joined, by target."""

    used: Mapping[int, Size]
    apart: Mapping[int, frozenset[str]]


def admission(cloud: Cloud, cluster: int, ties: Ties, priority: Priority) -> Admission:
    """Return what a cluster can lose now."""
    check = _Check(cloud, Places(cloud, cluster, (), ties), ties, priority)
    hosts = [one for one in cloud.hosts.values() if one.cluster_id == cluster and check.vms(one.id)]
    singles = tuple(check.single(host) for host in hosts)
    tried, untried, more = 0, 0, 0
    pairs: list[Loss] = []
    for first, second in check.doubtful():
        if check.compatible(first, second):
            continue
        if tried == MOST_TRIED:
            untried += 1
            continue
        tried += 1
        loss = check.pair(first, second)
        if loss.without and len(pairs) < MOST_NAMED:
            pairs.append(loss)
        elif loss.without:
            more += 1
    return Admission(singles, tuple(pairs), more, untried + check.unseen)


def wanted(policy: Policy) -> int:
    """Return how many hosts a cluster has to be able to lose: two where MAX_DOWN_HOSTS is more than one."""
    return 2 if policy.max_down > 1 else 1


def single_loss(cloud: Cloud, host: Host, ties: Ties, priority: Priority) -> Loss:
    """Return which VMs of one host would find no other."""
    return _Check(cloud, Places(cloud, host.cluster_id, (), ties), ties, priority).single(host)


class _Check:
    """One cluster's losses."""

    def __init__(self, cloud: Cloud, places: Places, ties: Ties, priority: Priority) -> None:
        self.cloud, self.places, self.ties, self.priority = cloud, places, ties, priority
        self.plans: dict[int, list[_Plan]] = {}
        self.passed = 0  # hosts that the next way passes over
        self.unseen = 0  # 1 where a cluster had more pairs than are examined
        self.alone: dict[int, frozenset[int]] = {}  # VMs that a single loss leaves without a place

    def vms(self, *hosts: int) -> list[int]:
        """Return the VMs that have to restart when hosts fail, the most important first."""
        found = [vm for host in hosts for vm in self.cloud.vms_by_host.get(host, ())]
        active = [vm for vm in found if vm.state == VmState.ACTIVE]
        return [vm.id for vm in sorted(active, key=lambda vm: (-self.priority(vm), vm.id))]

    def single(self, host: Host) -> Loss:
        """Try one loss, and keep two ways in which its VMs find a place, each on other hosts."""
        wanted = self.vms(host.id)
        placed = self.places.trial(wanted, [host.id])
        without = tuple(number for number in wanted if number not in placed)
        self.alone[host.id] = frozenset(without)
        self.plans[host.id] = self._ways(host.id, placed)
        return Loss((host,), len(self.cloud.vms_by_host.get(host.id, ())), without)

    def _ways(self, host: int, placed: Mapping[int, int]) -> list[_Plan]:
        """Return two ways for the VMs that find a place: spread, so that few of two hosts share a target."""
        movable, ways = list(placed), []
        lost = {host}
        for _ in range(2):
            self.passed = (self.passed + len(movable)) % max(1, len(self.cloud.hosts))
            found = self.places.trial(movable, lost, start=self.passed)
            if len(found) == len(movable):
                ways.append(self._plan(found))
                lost |= set(found.values())
        return ways or [self._plan(placed)]

    def _plan(self, placed: Mapping[int, int]) -> _Plan:
        used: dict[int, Size] = defaultdict(lambda: ZERO)
        apart: dict[int, frozenset[str]] = defaultdict(frozenset)
        for number, target in placed.items():
            used[target] += size_of(self.cloud.vms[number])
            apart[target] |= frozenset(self.ties.apart.get(number, ()))
        return _Plan(dict(used), dict(apart))

    def pair(self, first: int, second: int) -> Loss:
        """Try the loss of two hosts."""
        wanted = self.vms(first, second)
        placed = self.places.trial(wanted, [first, second])
        known = self.alone[first] | self.alone[second]
        without = tuple(n for n in wanted if n not in placed and n not in known)
        hosts = (self.cloud.hosts[first], self.cloud.hosts[second])
        return Loss(hosts, sum(len(self.cloud.vms_by_host[host.id]) for host in hosts), without)

    def doubtful(self) -> Iterator[Pair]:
        """Return the pairs whose first ways are in each other's way, each once, MOST_DOUBTFUL at most."""
        seen: set[Pair] = set()
        for pair in self._in_the_way():
            ordered = (min(pair), max(pair))
            if ordered not in seen:
                if len(seen) == MOST_DOUBTFUL:
                    self.unseen = 1
                    return
                seen.add(ordered)
                yield ordered

    def _in_the_way(self) -> Iterator[Pair]:
        users: dict[int, list[int]] = defaultdict(list)
        for host, plans in self.plans.items():
            for target in plans[0].used:
                users[target].append(host)
                if target in self.plans:
                    yield host, target
        for target, hosts in users.items():
            yield from self._on_target(target, hosts)

    def _on_target(self, target: int, hosts: Sequence[int]) -> Iterator[Pair]:
        """Return the pairs that find no room on a target together, the largest needs first."""
        room = self.places.room(target)
        for part in range(len(room)):
            ordered = sorted(((self.plans[h][0].used[target][part], h) for h in hosts), reverse=True)
            for at, (more, host) in enumerate(ordered):
                for less, other in ordered[at + 1 :]:
                    if more + less <= room[part]:
                        break
                    yield host, other
        by_group: dict[str, list[int]] = defaultdict(list)
        for host in hosts:
            for key in self.plans[host][0].apart[target]:
                by_group[key].append(host)
        for members in by_group.values():
            yield from ((one, other) for at, one in enumerate(members) for other in members[at + 1 :])

    def compatible(self, first: int, second: int) -> bool:
        """Return whether some way of each leaves the other its room."""
        return any(
            self._beside(one, other, first, second)
            for one, other in product(self.plans[first], self.plans[second])
        )

    def _beside(self, one: _Plan, other: _Plan, first: int, second: int) -> bool:
        if second in one.used or first in other.used:
            return False
        for target in one.used.keys() & other.used.keys():
            if not (one.used[target] + other.used[target]).fits(self.places.room(target)):
                return False
            if one.apart[target] & other.apart[target]:
                return False
        return True
