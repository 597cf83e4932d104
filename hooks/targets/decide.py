"""Decide what is scraped: a pure function of pools, settings and routes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Container, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import IPv6Address, ip_address

from hooks.targets.inventory import Host, Inventory, Vm
from hooks.targets.leases import Lease
from hooks.targets.policy import Policy, Reaches
from hooks.targets.user_template import Address, Refused, Wish, labels, shown, wishes
from onext.settings.targets import Targets

VMS = "vms"
_MOST_REFUSALS = 8  # of one VM


@dataclass(frozen=True)
class Target:
    """One entry of a file_sd file."""

    job: str
    address: str
    labels: dict[str, str]


@dataclass(frozen=True)
class Refusal:
    """A refused target: whose it is, what was requested, and why it was refused."""

    vm: int
    name: str
    user: int
    reason: str


@dataclass(frozen=True)
class Decision:
    """What Prometheus should scrape; `jobs` are the files to write, empty ones too."""

    jobs: tuple[str, ...]
    targets: tuple[Target, ...]
    refusals: tuple[Refusal, ...]

    def of(self, job: str) -> list[Target]:
        """Return the targets of one job."""
        return [target for target in self.targets if target.job == job]


def decide(inventory: Inventory, settings: Targets, reaches: Reaches) -> Decision:
    """Return the targets of all VMs and hosts, and what is refused, always in the same order."""
    policy = Policy(settings, inventory.protected, reaches, inventory.unprotected)
    places = {host.id: host.geolocation for host in inventory.hosts}
    per_user: Counter[int] = Counter()
    outcomes = [
        outcome
        for vm in sorted(inventory.vms, key=lambda vm: vm.id)
        for outcome in _vm(vm, inventory.leases.of(vm.id), policy, places.get(vm.host, ""), per_user)
    ]
    jobs = tuple(name for name, job in settings.jobs.items() if job.enabled)
    monitored = sorted((host for host in inventory.hosts if host.monitored), key=lambda host: host.id)
    hosts = [
        _host(host, job, settings.jobs[job].port)
        for job in jobs
        for host in monitored
        if not settings.jobs[job].answering or (host.name, settings.jobs[job].port) in inventory.answering
    ]
    return Decision(
        (VMS, *map(hosts_job, jobs)),
        (*(one for one in outcomes if isinstance(one, Target)), *hosts),
        tuple(one for one in outcomes if isinstance(one, Refusal)),
    )


def hosts_job(job: str) -> str:
    """Return the name of the file, without suffix, of a job of the hosts."""
    return f"hosts-{job}"


def _vm(
    vm: Vm, leases: Mapping[Address, Lease], policy: Policy, place: str, per_user: Counter[int]
) -> Iterator[Target | Refusal]:
    """Yield a VM's targets and its first refusals, and count its user's targets."""
    accepted: dict[tuple[Address, int], str] = {}
    refused = 0
    try:
        chosen = {**_labels(vm, place), **labels(vm.labels)}
    except Refused as reason:
        yield _refusal(vm, reason)
        return
    for wish in wishes(vm.wanted):
        try:
            if isinstance(wish, Refused):
                raise Refused(str(wish))  # noqa: TRY301 - a new one: raised again it would keep every frame
            address = policy.address(vm, leases, wish)
            if accepted.get((address, wish.port)) == wish.path:
                continue
            _within(policy.settings, vm, len(accepted), per_user)
            _differs(wish, address, accepted)
        except Refused as reason:
            refused += 1
            if refused <= _MOST_REFUSALS:
                yield _refusal(vm, reason)
            continue
        accepted[address, wish.port] = wish.path
        per_user[vm.user] += 1
        path = {"__metrics_path__": wish.path} if wish.path else {}
        yield Target(VMS, endpoint(address, wish.port), chosen | path)


def _within(settings: Targets, vm: Vm, of_vm: int, per_user: Counter[int]) -> None:
    if of_vm >= settings.per_vm:
        raise Refused(f"more than {settings.per_vm} targets of one VM")
    if per_user[vm.user] >= settings.per_user:
        raise Refused(f"more than {settings.per_user} targets of user {vm.user}")


def _differs(wish: Wish, address: Address, accepted: Container[tuple[Address, int]]) -> None:
    if (address, wish.port) in accepted:  # both would have one `instance`
        raise Refused(f"{shown(wish.text)}: another target has this address and port, with another path")


def _labels(vm: Vm, place: str) -> dict[str, str]:
    return _with_place(
        {
            "one_vm_id": str(vm.id),
            "one_vm_name": vm.name,
            "one_host_id": str(vm.host),
            "one_cluster_id": str(vm.cluster),
        },
        place,
    )


def _host(host: Host, job: str, port: int) -> Target:
    chosen = {"one_host_id": str(host.id), "one_host_name": host.name, "one_cluster_id": str(host.cluster)}
    return Target(hosts_job(job), _exporter(host.name, port), _with_place(chosen, host.geolocation))


@lru_cache(32_768)
def _exporter(name: str, port: int) -> str:
    try:
        return endpoint(ip_address(name), port)
    except ValueError:
        return f"{name}:{port}"


def _with_place(chosen: dict[str, str], place: str) -> dict[str, str]:
    return chosen | {"geolocation": place} if place else chosen


def _refusal(vm: Vm, reason: Refused) -> Refusal:
    return Refusal(vm.id, vm.name, vm.user, str(reason))


def endpoint(address: Address, port: int) -> str:
    """Return `address:port`, with brackets around IPv6."""
    return f"[{address}]:{port}" if isinstance(address, IPv6Address) else f"{address}:{port}"


def groups(targets: Iterable[Target]) -> list[dict[str, object]]:
    """Return the targets as file_sd and http_sd want them: one group for each."""
    return [{"targets": [target.address], "labels": target.labels} for target in targets]
