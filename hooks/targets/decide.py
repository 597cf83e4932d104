"""From what is to what is scraped: a pure function of pools, settings and routes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Container, Iterable, Iterator
from dataclasses import dataclass
from ipaddress import IPv6Address, ip_address

from hooks.targets.inventory import Guest, Inventory, Node
from hooks.targets.policy import Policy, Reaches
from hooks.targets.user_template import Address, Refused, Wish, labels, wishes
from onext.settings.targets import Targets

VMS = "vms"


@dataclass(frozen=True)
class Target:
    """One entry of a file_sd file."""

    job: str
    address: str
    labels: dict[str, str]


@dataclass(frozen=True)
class Refusal:
    """A target that is left out: whose, what was wanted, and why."""

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
    policy = Policy(
        settings, {network.id: network for network in inventory.networks}, inventory.infrastructure, reaches
    )
    places = {node.id: node.geolocation for node in inventory.nodes}
    per_user: Counter[int] = Counter()
    outcomes = [
        outcome
        for guest in sorted(inventory.guests, key=lambda guest: guest.id)
        for outcome in _guest(guest, policy, places.get(guest.host, ""), per_user)
    ]
    jobs = tuple(name for name, job in settings.jobs.items() if job.enabled)
    hosts = [
        _host(node, job, settings.jobs[job].port)
        for job in jobs
        for node in sorted(inventory.nodes, key=lambda node: node.id)
    ]
    return Decision(
        (VMS, *map(hosts_job, jobs)),
        (*(one for one in outcomes if isinstance(one, Target)), *hosts),
        tuple(one for one in outcomes if isinstance(one, Refusal)),
    )


def hosts_job(job: str) -> str:
    """Return the name of the file, without suffix, of a job of the hosts."""
    return f"hosts-{job}"


def _guest(guest: Guest, policy: Policy, place: str, per_user: Counter[int]) -> Iterator[Target | Refusal]:
    """Yield a VM's targets and refusals, and count its user's targets."""
    accepted: dict[tuple[Address, int], str] = {}
    try:
        chosen = _labels(guest, place) | labels(guest.labels)
    except Refused as reason:
        yield _refusal(guest, reason)
        return
    for wish in wishes(guest.wanted):
        try:
            if isinstance(wish, Refused):
                raise wish
            address = policy.address(guest, wish)
            if accepted.get((address, wish.port)) == wish.path:
                continue
            _within(policy.settings, guest, len(accepted), per_user)
            _differs(wish, address, accepted)
        except Refused as reason:
            yield _refusal(guest, reason)
            continue
        accepted[address, wish.port] = wish.path
        per_user[guest.user] += 1
        path = {"__metrics_path__": wish.path} if wish.path else {}
        yield Target(VMS, endpoint(address, wish.port), chosen | path)


def _within(settings: Targets, guest: Guest, of_vm: int, per_user: Counter[int]) -> None:
    if of_vm >= settings.per_vm:
        raise Refused(f"more than {settings.per_vm} targets of one VM")
    if per_user[guest.user] >= settings.per_user:
        raise Refused(f"more than {settings.per_user} targets of user {guest.user}")


def _differs(wish: Wish, address: Address, accepted: Container[tuple[Address, int]]) -> None:
    if (address, wish.port) in accepted:  # both would have one `instance`
        raise Refused(f"{wish.text!r}: its address and port are a target already, with another path")


def _labels(guest: Guest, place: str) -> dict[str, str]:
    return _with_place(
        {
            "one_vm_id": str(guest.id),
            "one_vm_name": guest.name,
            "one_host_id": str(guest.host),
            "one_cluster_id": str(guest.cluster),
        },
        place,
    )


def _host(node: Node, job: str, port: int) -> Target:
    chosen = {"one_host_id": str(node.id), "one_host_name": node.name, "one_cluster_id": str(node.cluster)}
    try:
        address = endpoint(ip_address(node.name), port)
    except ValueError:
        address = f"{node.name}:{port}"
    return Target(hosts_job(job), address, _with_place(chosen, node.geolocation))


def _with_place(chosen: dict[str, str], place: str) -> dict[str, str]:
    return chosen | {"geolocation": place} if place else chosen


def _refusal(guest: Guest, reason: Refused) -> Refusal:
    return Refusal(guest.id, guest.name, guest.user, str(reason))


def endpoint(address: Address, port: int) -> str:
    """Return `address:port`, with brackets around IPv6."""
    return f"[{address}]:{port}" if isinstance(address, IPv6Address) else f"{address}:{port}"


def groups(targets: Iterable[Target]) -> list[dict[str, object]]:
    """Return the targets as file_sd and http_sd want them: one group for each."""
    return [{"targets": [target.address], "labels": target.labels} for target in targets]
