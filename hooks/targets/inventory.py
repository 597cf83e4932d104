"""What is: the pools of oned, reduced to what targets are made of."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from ipaddress import ip_address

from hooks.targets.networks import VirtualNetwork
from hooks.targets.user_template import EXPORTER, LABELS, Address
from onext.oned.elements import children, section, text
from onext.oned.errors import Malformed
from onext.oned.objects import HostState, VmState

# STATE of hosts that oned monitors: what is off, broken or not yet seen is none.
_MONITORED = {
    HostState.MONITORED,
    HostState.MONITORING_MONITORED,
    HostState.DISABLED,
    HostState.MONITORING_DISABLED,
}
# LCM_STATE in which a guest runs, as in oned's VirtualMachine.h: RUNNING, MIGRATE (live), HOTPLUG*,
# DISK_SNAPSHOT*, DISK_RESIZE, HOTPLUG_RESIZE, BACKUP; not those of a guest that is off.
RUNS = frozenset({3, 4, 17, 24, 25, 26, 57, 59, 62, 66, 69})
_ADDRESSES = (b"IP", b"IP6", b"IP6_GLOBAL", b"IP6_ULA", b"EXTERNAL_IP")  # IP6_LINK is of no use to others
_INTERFACES = {b"NIC", b"NIC_ALIAS", b"PCI"}


@dataclass(frozen=True)
class Interface:
    """An address of a VM, and the network that it is said to be in (-1: none)."""

    address: Address
    network: int


@dataclass(frozen=True)
class Guest:
    """A VM that runs and wants to be scraped; `wanted` and `labels` are its owner's words."""

    id: int
    name: str
    user: int
    host: int
    cluster: int
    wanted: str
    labels: str
    interfaces: tuple[Interface, ...] = ()


@dataclass(frozen=True)
class Node:
    """A host that is monitored."""

    id: int
    name: str
    cluster: int
    geolocation: str = ""


@dataclass(frozen=True)
class Inventory:
    """Everything that decides about targets."""

    guests: tuple[Guest, ...] = ()
    nodes: tuple[Node, ...] = ()
    networks: tuple[VirtualNetwork, ...] = ()
    infrastructure: frozenset[Address] = field(default_factory=frozenset)  # front-ends, hosts, BMCs


def guests(elements: Iterable[bytes], broken: Callable[[bytes], None]) -> Iterator[Guest]:
    """Yield the VMs of a pool of `<VM>` that run and have PROMETHEUS_EXPORTER.

    One that cannot be read is handed to `broken` and left out: it must not cost others their targets.
    """
    for element in elements:
        if b"<" + EXPORTER.encode() + b">" not in element:
            continue
        try:
            guest = _guest(dict(children(element[len("<VM>") : -len("</VM>")])))
        except (ValueError, KeyError, Malformed):
            broken(element)
            continue
        if guest is not None:
            yield guest


def _guest(fields: Mapping[bytes, bytes]) -> Guest | None:
    wanted = {tag.decode(): text(value) for tag, value in children(fields.get(b"USER_TEMPLATE", b""))}
    if not wanted.get(EXPORTER, "").strip() or not _runs(fields):
        return None
    records = fields.get(b"HISTORY_RECORDS", b"")
    last = records.rfind(b"<HID>")
    return Guest(
        id=int(fields[b"ID"]),
        name=text(fields[b"NAME"]),
        user=int(fields[b"UID"]),
        host=int(section(records, b"HID", last)[0]) if last >= 0 else -1,
        cluster=int(section(records, b"CID", last)[0] or -1) if last >= 0 else -1,
        wanted=wanted[EXPORTER],
        labels=wanted.get(LABELS, ""),
        interfaces=tuple(_interfaces(fields.get(b"TEMPLATE", b""))),
    )


def _runs(fields: Mapping[bytes, bytes]) -> bool:
    return int(fields[b"STATE"]) == VmState.ACTIVE and int(fields[b"LCM_STATE"]) in RUNS


def _interfaces(template: bytes) -> Iterator[Interface]:
    for tag, content in children(template):
        if tag not in _INTERFACES:
            continue
        parts = {key: text(value) for key, value in children(content)}
        network = parts.get(b"NETWORK_ID", "")
        for key in _ADDRESSES:
            try:
                address = ip_address(parts.get(key, ""))
            except ValueError:
                continue
            yield Interface(address, int(network) if network.isdecimal() else -1)


def nodes(elements: Iterable[bytes]) -> Iterator[tuple[Node, bool]]:
    """Yield every host of a pool of `<HOST>`, and whether it is monitored."""
    for element in elements:
        fields = dict(children(element[len("<HOST>") : -len("</HOST>")]))
        template = dict(children(fields.get(b"TEMPLATE", b"")))
        node = Node(
            id=int(fields[b"ID"]),
            name=text(fields[b"NAME"]),
            cluster=int(fields.get(b"CLUSTER_ID", b"-1")),
            geolocation=text(template.get(b"GEOLOCATION", b"")),
        )
        yield node, int(fields[b"STATE"]) in _MONITORED
