"""A cluster as decide() sees it, from a snapshot. Pure."""

from __future__ import annotations

import socket
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from onext import bounds
from onext.hosts.claims import STATE_KEY, effective
from onext.hosts.energy import Curve
from onext.hosts.inventory.groups import ties
from onext.hosts.inventory.snapshot import PROBLEM, Snapshot
from onext.hosts.inventory.vms import Judge, Places, last_host, size, vm_of
from onext.hosts.model import Bmc, Claim, Cluster, Host, Phase, Vm
from onext.hosts.placement.problem import Size
from onext.oned.objects import HostState, attribute
from onext.xml import Element

OPEN = (HostState.MONITORED, HostState.MONITORING_MONITORED)
KIB_PER_MIB = 1024


class Assumptions(Protocol):
    """What the administrator's settings state for hosts without own values; watts."""

    @property
    def front_end_hosts(self) -> Sequence[str]:
        """Names of hosts that run a front-end, Prometheus or storage."""

    @property
    def idle_watts(self) -> float:
        """Of an idle host."""

    @property
    def peak_watts(self) -> float:
        """Of a busy host."""

    @property
    def off_watts(self) -> float:
        """Of a host that is off."""


@dataclass(frozen=True)
class Surroundings:
    """What is known of a cluster's hosts beyond their own elements."""

    snapshot: Snapshot
    settings: Assumptions
    excluded: Mapping[str, str]  # host name -> why
    due: Mapping[int, float]
    here: str = socket.gethostname()


def observe(snapshot: Snapshot, cluster_id: int, settings: Assumptions, now: float) -> Cluster:
    """Return a cluster; raise KeyError when it is not there."""
    element = next((c for c in snapshot.clusters if c.findtext("ID") == str(cluster_id)), None)
    if element is None:
        raise KeyError(cluster_id)
    ours = [host for host in snapshot.hosts if host.findtext("CLUSTER_ID") == str(cluster_id)]
    ours = sorted((host for host in ours if _id(host) >= 0), key=_id)
    ids = set(map(_id, ours))
    places = Places({_id(host): _attributes(host) for host in ours})
    listed = {vm: _id(host) for host in ours for vm in _listed(host)}
    judge = Judge(places, ties(snapshot.groups), snapshot.pins_count, listed)
    vms = [found for vm in snapshot.vms if (found := _of_cluster(vm, ids, judge))]
    flavours = (size(t.find("TEMPLATE")) for t in snapshot.templates if t.findtext("UID") == "0")
    about = Surroundings(snapshot, settings, dict(_roles(snapshot)), _due(snapshot, now))
    return Cluster(
        cluster_id,
        element.findtext("NAME", ""),
        tuple(_host(host, about) for host in ours),
        tuple(vms),
        tuple(flavour for flavour in flavours if flavour is not None),
        held=held(element),
        problems=(
            *(f"VM {vm.id} ({vm.name}): {vm.fixed}" for vm in vms if vm.invalid),
            *(f"host {_id(host)}: {problem}" for host in ours if (problem := host_problem(host))),
        ),
    )


def _id(element: Element) -> int:
    """Return an object's id, -1 where it has none."""
    found = bounds.whole(element.findtext("ID"), 0, 2**31)
    return -1 if found is None else found


def _listed(host: Element) -> Iterator[int]:
    for item in host.iterfind("VMS/ID"):
        if (number := bounds.whole(item.text, 0, 2**31)) is not None:
            yield number


def host_problem(host: Element) -> str:
    """Return what of a host cannot be read; empty where all can. Such a host is left as it is."""
    if problem := host.findtext(PROBLEM):
        return f"it cannot be read: {problem}"
    state = bounds.whole(host.findtext("STATE"), 0, 10**6)
    if state not in frozenset(HostState):
        return f"its state {bounds.words(host.findtext('STATE'), 20)!r} is unknown to this version"
    for path in ("HOST_SHARE/MAX_CPU", "HOST_SHARE/MAX_MEM"):
        if bounds.number(host.findtext(path, "0"), -1e15, 1e15) is None:
            return f"{path} cannot be read"
    return ""


def chosen(snapshot: Snapshot, cluster_id: int, key: str) -> dict[str, str]:
    """Return a vector of a cluster's template, empty when it is missing."""
    for element in snapshot.clusters:
        if element.findtext("ID") == str(cluster_id):
            return vector_of(element, key)
    return {}


def vector_of(element: Element, key: str) -> dict[str, str]:
    """Return a vector of an object's template, empty when it is missing."""
    value = _vector(element, key)
    return dict(value) if isinstance(value, Mapping) else {}


def held(cluster: Element) -> str:
    """Return why OneDRS prevents shrinking a cluster; empty when it does not."""
    automation = cluster.findtext("TEMPLATE/ONE_DRS/AUTOMATION", "").lower()
    if automation in ("partial", "full"):
        return f"OneDRS acts by itself here (AUTOMATION = {automation})"
    if cluster.findtext("PLAN/STATE") == "1":
        return "OneDRS is applying a plan here"
    return ""


def _of_cluster(vm: Element, hosts: set[int], judge: Judge) -> Vm | None:
    """Return a VM that is on these hosts, or waits and may be placed on one of them."""
    host = last_host(vm)
    if host >= 0 and host not in hosts and vm.findtext("STATE") != "1":
        return None
    found = vm_of(vm, judge)
    if found is None or (found.host < 0 and found.hosts is not None and not found.hosts):
        return None
    return found


def _attributes(host: Element) -> dict[str, str]:
    """Return what requirements may ask of a host."""
    scalars = {child.tag: child.text or "" for child in host.iterfind("TEMPLATE/*") if not len(child)}
    plain = {child.tag: child.text or "" for child in host if not len(child)}
    return {**scalars, **plain}


def _host(element: Element, about: Surroundings) -> Host:
    number, name = _id(element), element.findtext("NAME", "")
    stored = about.snapshot.records.get(number)
    claim, record = effective(stored, _vector(element, STATE_KEY), name)
    return Host(
        number,
        name,
        HostState(bounds.whole(element.findtext("STATE"), 0, 10**6) or 0),
        _size(element, claim),
        _curve(number, element, about),
        _bmc(number, claim, about.snapshot),
        claim,
        record,
        _excluded(element, name, about),
        about.snapshot.monitored.get(number, 0.0),
        wild(element),
        number in about.snapshot.sleepers,
        about.due.get(number, float("inf")),
        element.findtext("TEMPLATE/PIN_POLICY", "").upper() == "PINNED",
        _bmc_error(number, about.snapshot),
    )


def _bmc_error(number: int, snapshot: Snapshot) -> str:
    """Return why the BMC did not answer, empty where it did."""
    reading = snapshot.readings.get(number)
    return reading.reason if reading else ""


def _bmc(number: int, claim: Claim | None, snapshot: Snapshot) -> Bmc:
    """Return what its BMC reports; one without, that onext put to sleep and that is silent, sleeps."""
    said = snapshot.bmcs.get(number, Bmc.NONE)
    slept = claim is not None and claim.phase in (Phase.STOPPING, Phase.OFF, Phase.WAKING)
    return Bmc.OFF if said is Bmc.SILENT and slept and number in snapshot.sleepers else said


def _vector(element: Element, key: str) -> Mapping[str, str] | str | None:
    found = element.find(f"TEMPLATE/{key}")
    return attribute(found) if found is not None else None


def _size(element: Element, claim: Claim | None) -> Size:
    """Return what VMs may use; of a host that oned has forgotten, what we kept."""
    cpu, memory = (_amount(element.findtext(f"HOST_SHARE/{key}")) for key in ("MAX_CPU", "MAX_MEM"))
    if claim and not cpu:
        cpu, memory = (_amount(claim.capacity.get(key)) for key in ("MAX_CPU", "MAX_MEM"))
    return Size(cpu, memory // KIB_PER_MIB)


def _amount(text: str | None) -> int:
    return int(bounds.number(text, -1e15, 1e15) or 0)


def _curve(number: int, element: Element, about: Surroundings) -> Curve:
    """Return a host's power curve; measured values take precedence over configured ones."""
    model, found = curve(element, about.settings), about.snapshot.metered.get(number)
    return model.measured(found.idle, found.off, found.source) if found else model


def curve(element: Element, settings: Assumptions) -> Curve:
    """Return the model of a host: ONEXT_POWER_WATTS = "idle,…,peak" (2 or 11 points), else the settings'."""
    text = element.findtext("TEMPLATE/ONEXT_POWER_WATTS", "")
    found = [bounds.number(item, 0, 1e5) for item in text.split(",")[:12] if item.strip()]
    points = tuple(watts for watts in found if watts is not None)
    if not 2 <= len(points) <= 11 or len(points) < len(found):
        points = (settings.idle_watts, settings.peak_watts)
    return Curve(points, settings.off_watts)


def wild(element: Element) -> int:
    """Count the VMs on a host that OpenNebula does not know."""
    found = bounds.whole(element.findtext("TEMPLATE/TOTAL_WILDS", "0"), 0, 10**6)
    return len(element.findall("TEMPLATE/VM")) if found is None else found


def _excluded(element: Element, name: str, about: Surroundings) -> str:
    """Return why a host is never switched off; empty where it may be."""
    if problem := host_problem(element):
        return problem
    front_ends = (*about.settings.front_end_hosts, *about.snapshot.front_ends)
    return exclusion(element, front_ends, about.here) or about.excluded.get(name, "")


def exclusion(element: Element, front_ends: Iterable[str], here: str = socket.gethostname()) -> str:
    """Return why a host's own template and name forbid to switch it off; empty where they do not."""
    if element.findtext("TEMPLATE/ONEXT_POWER_EXCLUDE", "").upper() in ("YES", "TRUE", "1"):
        return "ONEXT_POWER_EXCLUDE is set"
    if role := element.findtext("TEMPLATE/ONEXT_POWER_ROLE", ""):
        return f"its role: {role}"
    if _short(element.findtext("NAME", "")) in map(_short, (*front_ends, here)):
        return "it runs a front-end, Prometheus or storage"
    return ""


def _short(name: str) -> str:
    """Return a name without its domain: people write both. An address stays as it is."""
    return (
        name.lower() if name.replace(".", "").isdecimal() or ":" in name else name.lower().partition(".")[0]
    )


def _roles(snapshot: Snapshot) -> Iterator[tuple[str, str]]:
    """Name the hosts that datastores need: replicas, and of each BRIDGE_LIST one that is enabled."""
    states = {str(state.value) for state in OPEN}
    enabled = {h.findtext("NAME", "") for h in snapshot.hosts if h.findtext("STATE") in states}
    for datastore in snapshot.datastores:
        name = datastore.findtext("NAME", "")
        if replica := datastore.findtext("TEMPLATE/REPLICA_HOST", ""):
            yield replica, f"it is REPLICA_HOST of datastore {name}"
        bridges = [host for host in datastore.findtext("TEMPLATE/BRIDGE_LIST", "").split() if host in enabled]
        if bridges:
            yield bridges[0], f"datastore {name} needs an enabled host of its BRIDGE_LIST"


def _due(snapshot: Snapshot, now: float) -> dict[int, float]:
    """Return when the next scheduled action of any VM of a host is due."""
    due: dict[int, float] = {}
    for vm in snapshot.vms:
        host = last_host(vm)
        start = bounds.number(vm.findtext("STIME"), 0, 1e11) or 0.0
        for when in _times(vm.iterfind("TEMPLATE/SCHED_ACTION/TIME"), start):
            if when >= now:
                due[host] = min(when, due.get(host, when))
    return due


def _times(elements: Iterable[Element], start: float) -> Iterator[float]:
    for element in elements:
        text = (element.text or "").strip()
        when = bounds.number(text.removeprefix("+"), 0, 1e11)
        if when is not None:
            yield start + when if text.startswith("+") else when
