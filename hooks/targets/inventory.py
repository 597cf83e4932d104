"""What targets are made of: VMs and hosts out of oned's pools, each read alone and bounded."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from ipaddress import ip_address

from hooks.targets.fields import number
from hooks.targets.leases import Leases
from hooks.targets.networks import Address
from hooks.targets.user_template import EXPORTER, LABELS, LONGEST
from onext import bounds
from onext.oned.elements import children, section, text
from onext.oned.errors import Malformed
from onext.oned.objects import HostState, VmState
from onext.payload import valid_host_name

# STATE of hosts that oned monitors: what is off, broken or not yet seen is none.
_MONITORED = {
    HostState.MONITORED,
    HostState.MONITORING_MONITORED,
    HostState.DISABLED,
    HostState.MONITORING_DISABLED,
}
# LCM_STATE in which a VM runs, as in oned's VirtualMachine.h: RUNNING, MIGRATE (live), HOTPLUG*,
# DISK_SNAPSHOT*, DISK_RESIZE, HOTPLUG_RESIZE, BACKUP; not those of a VM that is off.
RUNS = frozenset({3, 4, 17, 24, 25, 26, 57, 59, 62, 66, 69})
_ADDRESSES = (b"IP", b"IP6", b"IP6_GLOBAL", b"IP6_ULA", b"EXTERNAL_IP")  # IP6_LINK is of no use to others
_INTERFACES = {b"NIC", b"NIC_ALIAS", b"PCI"}
_MOST_ADDRESSES = 64  # of one VM
_LONGEST_NAME = 128  # as oned's own limit
_LONGEST_PLACE = 256  # characters of GEOLOCATION
Broken = Callable[[bytes, Exception], None]


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
    """Everything that decides about targets."""

    vms: tuple[Vm, ...] = ()
    hosts: tuple[Host, ...] = ()
    leases: Leases = field(default_factory=lambda: Leases({}, {}))
    protected: frozenset[Address] = frozenset()  # of front-ends, hosts, BMCs
    unprotected: tuple[str, ...] = ()  # which of those have no known address
    unreadable: tuple[str, ...] = ()  # what was left out, in words


def vms(elements: Iterable[bytes], broken: Broken) -> Iterator[Vm]:
    """Yield the VMs of a pool of `<VM>` (plain form) that run and have PROMETHEUS_EXPORTER.

    One that cannot be read is handed to `broken` and left out: it must not cost others their targets.
    """
    for element in elements:
        if b"<" + EXPORTER.encode() + b">" not in element:
            continue
        try:
            found = _vm(dict(children(element[len("<VM>") : -len("</VM>")])))
        except (ValueError, KeyError, Malformed) as error:
            broken(element, error)
            continue
        if found is not None:
            yield found


def hosts(elements: Iterable[bytes], broken: Broken) -> Iterator[Host]:
    """Yield the hosts of a pool of `<HOST>` (plain form); those that cannot be read go to `broken`."""
    for element in elements:
        try:
            yield _host(dict(children(element[len("<HOST>") : -len("</HOST>")])))
        except (ValueError, KeyError, Malformed) as error:
            broken(element, error)


def _vm(fields: Mapping[bytes, bytes]) -> Vm | None:
    wanted = dict(children(fields.get(b"USER_TEMPLATE", b"")))
    exporter = _text(wanted, EXPORTER)
    if not exporter.strip() or not _runs(fields):
        return None
    records = fields.get(b"HISTORY_RECORDS", b"")
    last = records.rfind(b"<HISTORY>")
    stay = {key: section(records, key, last)[0] for key in (b"HID", b"CID")} if last >= 0 else {}
    return Vm(
        id=number(fields, b"ID"),
        name=bounds.words(text(fields[b"NAME"]), _LONGEST_NAME),
        user=number(fields, b"UID"),
        host=number(stay, b"HID") if stay else -1,
        cluster=number(stay, b"CID", -1),
        wanted=exporter,
        labels=_text(wanted, LABELS),
        addresses=tuple(_addresses(fields.get(b"TEMPLATE", b""))),
    )


def _host(fields: Mapping[bytes, bytes]) -> Host:
    template = dict(children(fields.get(b"TEMPLATE", b"")))
    name = text(fields[b"NAME"])
    if not (valid_host_name(name) or _is_address(name)):
        raise ValueError(f"{bounds.words(name, 80)!r} is not a host name")
    return Host(
        id=number(fields, b"ID"),
        name=name,
        cluster=number(fields, b"CLUSTER_ID", -1),
        geolocation=bounds.words(_text(template, "GEOLOCATION"), _LONGEST_PLACE),
        monitored=number(fields, b"STATE", -1) in _MONITORED,
    )


def _runs(fields: Mapping[bytes, bytes]) -> bool:
    return number(fields, b"STATE") == VmState.ACTIVE and number(fields, b"LCM_STATE") in RUNS


def _addresses(template: bytes) -> Iterator[Address]:
    """Yield what a VM's interfaces state, in their order, at most _MOST_ADDRESSES."""
    found: dict[Address, None] = {}
    for tag, content in children(template):
        if tag not in _INTERFACES or b"<" not in content:
            continue
        parts = dict(children(content))
        for key in _ADDRESSES:
            try:
                found[ip_address(text(parts.get(key, b""))[:64])] = None
            except ValueError:
                continue
    yield from list(found)[:_MOST_ADDRESSES]


def _text(template: Mapping[bytes, bytes], key: str) -> str:
    """Return an attribute's text, at most one character more than is allowed; a vector shows its tags."""
    return text(template.get(key.encode(), b""))[: LONGEST + 1]


def _is_address(name: str) -> bool:
    try:
        ip_address(name)
    except ValueError:
        return False
    return "%" not in name
