"""The input of targets: VMs and hosts of the cloud, with bounded values from their owners."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from ipaddress import ip_address

from hooks.targets.leases import Leases
from hooks.targets.networks import Address
from hooks.targets.user_template import EXPORTER, LABELS, LONGEST
from onext import bounds
from onext.cloud import model as cloud
from onext.oned.objects import HostState, VmState
from onext.payload import valid_host_name

# STATE of hosts that oned monitors: hosts that are off, in ERROR or not yet monitored have none.
_MONITORED = {
    HostState.MONITORED,
    HostState.MONITORING_MONITORED,
    HostState.DISABLED,
    HostState.MONITORING_DISABLED,
}
# LCM_STATE in which a VM runs, as in oned's VirtualMachine.h: RUNNING, MIGRATE (live), HOTPLUG*,
# DISK_SNAPSHOT*, DISK_RESIZE, HOTPLUG_RESIZE, BACKUP; not those of a VM that is off.
RUNS = frozenset({3, 4, 17, 24, 25, 26, 57, 59, 62, 66, 69})
_MOST_ADDRESSES = 64  # of one VM
_LONGEST_NAME = 128  # as oned's own limit
_LONGEST_PLACE = 256  # characters of GEOLOCATION
_MOST_SHOWN = 3


@dataclass(frozen=True)
class Vm:
    """A VM that runs and wants to be scraped.

    `wanted`, `labels` and `addresses` (in the order of its interfaces) are what its owner may have written.
    """

    id: int
    name: str
    user: int
    host: int
    cluster: int
    wanted: str
    labels: str = ""
    addresses: tuple[Address, ...] = ()


@dataclass(frozen=True)
class Host:
    """A host; `monitored`: oned hears from it, so that its exporters are scraped."""

    id: int
    name: str
    cluster: int
    geolocation: str = ""
    monitored: bool = True


@dataclass(frozen=True)
class Inventory:
    """All input of the decision about targets."""

    vms: tuple[Vm, ...] = ()
    hosts: tuple[Host, ...] = ()
    leases: Leases = field(default_factory=lambda: Leases({}, {}))
    protected: frozenset[Address] = frozenset()  # of front-ends, hosts, BMCs
    unprotected: tuple[str, ...] = ()  # those without a known address
    answering: frozenset[tuple[str, int]] = frozenset()  # hosts and ports that have answered
    unreadable: int = 0  # VMs, hosts and networks that were left out


def vms(found: Iterable[cloud.Vm]) -> Iterator[Vm]:
    """Yield the VMs that run and have PROMETHEUS_EXPORTER."""
    return (vm for one in found if (vm := _vm(one)) is not None)


def _vm(one: cloud.Vm) -> Vm | None:
    wanted = one.user_template.get(EXPORTER)
    if not wanted or one.state != VmState.ACTIVE or one.lcm_state not in RUNS:
        return None
    return Vm(
        id=one.id,
        name=bounds.words(one.name, _LONGEST_NAME),
        user=one.uid,
        host=one.host_id,
        cluster=one.cluster_id,
        wanted=_written(wanted),
        labels=_written(one.user_template.get(LABELS, "")),
        addresses=tuple(_addresses(one)),
    )


class KnownVms:
    """Reads each VM of the snapshot once: one that did not change is the same object in the next round."""

    def __init__(self) -> None:
        self._known: dict[int, tuple[cloud.Vm, Vm | None]] = {}

    def of(self, found: Iterable[cloud.Vm]) -> Iterator[Vm]:
        """Yield what `vms` yields."""
        before, self._known = self._known, {}
        for one in found:
            same = before.get(one.id)
            read = same[1] if same is not None and same[0] is one else _vm(one)
            self._known[one.id] = one, read
            if read is not None:
                yield read


def hosts(found: Iterable[cloud.Host]) -> Iterator[Host]:
    """Yield the hosts with a usable name."""
    for one in found:
        if valid_host_name(one.name) or _is_address(one.name):
            place = bounds.words(one.text("GEOLOCATION"), _LONGEST_PLACE)
            yield Host(one.id, one.name, one.cluster_id, place, monitored=one.state in _MONITORED)


def _written(value: cloud.Attribute) -> str:
    """Return an attribute's text, at most one character too long.

    A vector attribute becomes its names, which are refused later.
    """
    text = value if isinstance(value, str) else f"[{', '.join(list(value)[:_MOST_SHOWN])}]"
    return text[: LONGEST + 1]


def _addresses(vm: cloud.Vm) -> Iterator[Address]:
    """Yield what a VM's interfaces state, in their order, at most _MOST_ADDRESSES."""
    written = (text for nic in vm.nics for _, text in nic.addresses)
    found = dict.fromkeys(address for text in written if (address := _address(text)) is not None)
    yield from list(found)[:_MOST_ADDRESSES]


@lru_cache(65_536)
def _address(written: str) -> Address | None:
    try:
        return ip_address(written)
    except ValueError:
        return None


def _is_address(name: str) -> bool:
    return _address(name) is not None and "%" not in name
