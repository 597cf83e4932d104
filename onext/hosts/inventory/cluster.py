"""A cluster as decide() sees it, from a snapshot. Pure."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from onext import bounds
from onext.cloud import model
from onext.cloud.model import scalar, vector
from onext.cloud.snapshot import Cloud
from onext.hosts.claims import STATE_KEY, effective
from onext.hosts.energy import Curve
from onext.hosts.inventory.cpu_models import CpuModels, evc_mode
from onext.hosts.inventory.groups import ties
from onext.hosts.inventory.snapshot import Snapshot
from onext.hosts.inventory.vms import Judge, Places, last_host, size, vm_of
from onext.hosts.model import OPEN, Bmc, Claim, Cluster, Host, Phase, Vm
from onext.hosts.placement.problem import Size
from onext.oned.objects import HostState, VmState, attribute
from onext.xml import Element

KNOWN = frozenset(HostState)
KIB_PER_MIB = 1024
_APPLYING = 1  # PLAN/STATE of OneDRS


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


class ClusterUnreadable(Exception):
    """A cluster cannot be read: nothing may be decided in it."""


def observe(snapshot: Snapshot, cluster_id: int, settings: Assumptions, now: float) -> Cluster:
    """Return a cluster; raise KeyError when it is not there, and ClusterUnreadable."""
    cloud = snapshot.cloud
    found = readable(cloud, cluster_id)
    hosts = sorted((host for host in cloud.hosts.values() if host.cluster_id == cluster_id), key=_by_id)
    ids = {host.id for host in hosts}
    places = Places({host.id: attributes(host) for host in hosts})
    listed = {vm: host.id for host in hosts for vm in host.vm_ids}
    models = CpuModels(places.hosts, evc_mode(found.template))
    judge = Judge(places, ties(snapshot.groups), snapshot.pins_count, models, listed)
    near = [vm for vm in cloud.vms.values() if _concerns(vm, ids)]
    vms = [vm for vm in (vm_of(vm, judge) for vm in near) if vm is not None and not _nowhere(vm)]
    flavours = (size(t.find("TEMPLATE")) for t in snapshot.templates if t.findtext("UID") == "0")
    about = Surroundings(snapshot, settings, dict(_roles(cloud)), _due(near, now))
    return Cluster(
        cluster_id,
        found.name,
        tuple(_host(host, about) for host in hosts),
        tuple(vms),
        tuple(flavour for flavour in flavours if flavour is not None),
        held=held(found, cloud.datastores.values()),
        problems=(
            *(f"VM {vm.id} ({vm.name}): {vm.fixed}" for vm in vms if vm.invalid),
            *(f"host {host.id}: {problem}" for host in hosts if (problem := host_problem(host))),
        ),
    )


def _by_id(host: model.Host) -> int:
    return host.id


def readable(cloud: Cloud, cluster_id: int) -> model.Cluster:
    """Return a cluster; raise KeyError when it is not there, and ClusterUnreadable."""
    found = cloud.clusters[cluster_id]
    if found.problem:
        raise ClusterUnreadable(
            f"cluster {cluster_id} ({found.name}) cannot be read, nothing is done in it: {found.problem}"
        )
    return found


def host_problem(host: model.Host) -> str:
    """Return what of a host cannot be read; empty where all can. Such a host is left as it is."""
    if host.problem:
        return f"it cannot be read: {host.problem}"
    return "" if host.state in KNOWN else f"its state {host.state} is unknown to this version"


def chosen(cloud: Cloud, cluster_id: int, key: str) -> Mapping[str, str]:
    """Return a vector of a cluster's template, empty when it is missing; raise as `readable` does."""
    return vector(readable(cloud, cluster_id).template, key)


def vector_of(element: Element, key: str) -> dict[str, str]:
    """Return a vector of an object's template that was read by itself, empty when it is missing."""
    found = element.find(f"TEMPLATE/{key}")
    value = attribute(found) if found is not None else None
    return dict(value) if isinstance(value, Mapping) else {}


def held(cluster: model.Cluster, datastores: Iterable[model.Datastore] = ()) -> str:
    """Return why a cluster does not shrink: OneDRS, or a datastore whose hosts are unknown; else empty."""
    automation = vector(cluster.template, "ONE_DRS").get("AUTOMATION", "").lower()
    if automation in ("partial", "full"):
        return f"OneDRS acts by itself here (AUTOMATION = {automation})"
    if cluster.plan_state == _APPLYING:
        return "OneDRS is applying a plan here"
    for datastore in datastores:
        if datastore.problem:
            return f"datastore {datastore.id} cannot be read, and so not which hosts it needs"
    return ""


def _concerns(vm: model.Vm, hosts: set[int]) -> bool:
    """Whether a VM is on these hosts, waits, or cannot be read and may be anywhere."""
    host = last_host(vm)
    return host in hosts or vm.state == VmState.PENDING or (host < 0 and bool(vm.problem))


def _nowhere(vm: Vm) -> bool:
    """Whether a VM waits and may be placed on no host of the cluster."""
    return vm.host < 0 and vm.hosts is not None and not vm.hosts


def attributes(host: model.Host) -> dict[str, str]:
    """Return what requirements may ask of a host."""
    scalars = {key: value for key, value in host.template.items() if isinstance(value, str)}
    return {
        **scalars,
        "ID": str(host.id),
        "NAME": host.name,
        "STATE": str(host.state),
        "PREV_STATE": str(host.previous_state),
        "IM_MAD": host.im_mad,
        "VM_MAD": host.vm_mad,
        "CLUSTER_ID": str(host.cluster_id),
        "CLUSTER": host.cluster,
    }


def _host(host: model.Host, about: Surroundings) -> Host:
    stored = about.snapshot.records.get(host.id)
    claim, record = effective(stored, host.template.get(STATE_KEY), host.name)
    return Host(
        host.id,
        host.name,
        HostState(host.state) if host.state in KNOWN else HostState.INIT,
        _size(host, claim),
        _curve(host, about),
        _bmc(host.id, claim, about.snapshot),
        claim,
        record,
        _excluded(host, about),
        about.snapshot.monitored.get(host.id, 0.0),
        host.wild_vms,
        host.id in about.snapshot.sleepers,
        about.due.get(host.id, float("inf")),
        host.text("PIN_POLICY").upper() == "PINNED",
        _bmc_error(host.id, about.snapshot),
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


def _size(host: model.Host, claim: Claim | None) -> Size:
    """Return what VMs may use; of a host that oned has forgotten, what we kept."""
    cpu, memory = host.max_cpu, host.max_memory
    if claim and not cpu:
        cpu, memory = (_amount(claim.capacity.get(key)) for key in ("MAX_CPU", "MAX_MEM"))
    return Size(cpu, memory // KIB_PER_MIB)


def _amount(text: str | None) -> int:
    return int(bounds.number(text, -1e15, 1e15) or 0)


def _curve(host: model.Host, about: Surroundings) -> Curve:
    """Return a host's power curve; measured values take precedence over configured ones."""
    model_, found = curve(host, about.settings), about.snapshot.metered.get(host.id)
    return model_.measured(found.idle, found.off, found.source) if found else model_


def curve(host: model.Host, settings: Assumptions) -> Curve:
    """Return the model of a host: ONEXT_POWER_WATTS = "idle,…,peak" (2 or 11 points), else the settings'."""
    text = host.text("ONEXT_POWER_WATTS")
    found = [bounds.number(item, 0, 1e5) for item in text.split(",")[:12] if item.strip()]
    points = tuple(watts for watts in found if watts is not None)
    if not 2 <= len(points) <= 11 or len(points) < len(found):
        points = (settings.idle_watts, settings.peak_watts)
    return Curve(points, settings.off_watts)


def _excluded(host: model.Host, about: Surroundings) -> str:
    """Return why a host is never switched off; empty where it may be."""
    if problem := host_problem(host):
        return problem
    front_ends = (*about.settings.front_end_hosts, *about.snapshot.front_ends)
    return exclusion(host.text, host.name, front_ends, about.here) or about.excluded.get(host.name, "")


def exclusion(
    template: Callable[[str], str], name: str, front_ends: Iterable[str], here: str = socket.gethostname()
) -> str:
    """Return why a host's own template and name forbid to switch it off; empty where they do not.

    `template` returns a scalar of the host's template, empty when it is missing.
    """
    if template("ONEXT_POWER_EXCLUDE").upper() in ("YES", "TRUE", "1"):
        return "ONEXT_POWER_EXCLUDE is set"
    if role := template("ONEXT_POWER_ROLE"):
        return f"its role: {role}"
    if _short(name) in map(_short, (*front_ends, here)):
        return "it runs a front-end, Prometheus or storage"
    return ""


def _short(name: str) -> str:
    """Return a name without its domain: people write both. An address stays as it is."""
    return (
        name.lower() if name.replace(".", "").isdecimal() or ":" in name else name.lower().partition(".")[0]
    )


def _roles(cloud: Cloud) -> Iterator[tuple[str, str]]:
    """Name the hosts that datastores need: replicas, and of each BRIDGE_LIST one that is enabled."""
    enabled = {host.name for host in cloud.hosts.values() if host.state in OPEN}
    for datastore in cloud.datastores.values():
        if replica := scalar(datastore.template, "REPLICA_HOST"):
            yield replica, f"it is REPLICA_HOST of datastore {datastore.name}"
        bridges = [host for host in scalar(datastore.template, "BRIDGE_LIST").split() if host in enabled]
        if bridges:
            yield bridges[0], f"datastore {datastore.name} needs an enabled host of its BRIDGE_LIST"


def _due(vms: Iterable[model.Vm], now: float) -> dict[int, float]:
    """Return when the next scheduled action of any VM of a host is due."""
    due: dict[int, float] = {}
    for vm in vms:
        for when in _times(vm.actions, vm.began):
            if when >= now:
                due[vm.host_id] = min(when, due.get(vm.host_id, when))
    return due


def _times(actions: Iterable[str], start: float) -> Iterator[float]:
    for text in actions:
        when = bounds.number(text.removeprefix("+"), 0, 1e11)
        if when is not None:
            yield start + when if text.startswith("+") else when
