"""From the shared snapshot of oned's pools to the values that availability decides on."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from hooks.availability import model
from hooks.availability.model import Action
from onext import bounds
from onext.cloud.model import Cluster, Datastore, Host, Vm, scalar, vector
from onext.cloud.snapshot import Cloud
from onext.hosts.placement.problem import Size
from onext.oned.objects import HostState, VmState

PRIORITY, ACTION, READY = "ONEXT_HA_PRIORITY", "ONEXT_HA_ACTION", "ONEXT_HA_READY"
RESTRICTED = (PRIORITY, ACTION, READY)  # set by administrators only, where oned.conf restricts them
BOOT_ID = "ONEXT_BOOT_ID"
_BOOT_ID = re.compile(r"[0-9a-f-]{36}")
_LOCAL = ("ssh", "local", "fs_lvm_ssh", "dev", "virtiofs")
_MONITOR_ACTION = 44  # HISTORY/ACTION (VMActions.h): monitoring, not a person, found the VM off
_SAME: Mapping[int, HostState] = {
    HostState.MONITORING_DISABLED: HostState.DISABLED,
    HostState.MONITORING_ERROR: HostState.ERROR,
}
_SERVICES = {"SERVICE_ID": "OneFlow", "ONEKS_CLUSTER_ID": "OneKS", "ONE_KS_ID": "OneKS"}


@dataclass(frozen=True)
class Situation:
    """What a cluster's view needs beside oned's pools."""

    silent: Mapping[int, float] = field(default_factory=dict)
    answering: frozenset[int] = frozenset()
    fence: frozenset[int] = frozenset()
    armed: frozenset[int] = frozenset()
    rebooted: frozenset[int] = frozenset()
    maintenance: frozenset[int] = frozenset()
    claimed: frozenset[int] = frozenset()
    held: frozenset[int] = frozenset()
    bmcs: Mapping[int, str] = field(default_factory=dict)  # fingerprints of the entries of bmc.yaml
    incidents: Mapping[int, model.Incident] = field(default_factory=dict)
    trusted: bool = False  # oned.conf restricts RESTRICTED, so that no tenant can have written them
    quiet: float = float("inf")
    paused: bool = False
    rival: str = ""  # another hook that restarts VMs


def cluster(cloud: Cloud, number: int, situation: Situation) -> model.Cluster:
    """Return a cluster as availability sees it; raise KeyError for one that is not there."""
    found: Cluster = cloud.clusters[number]
    hosts = [host for host in cloud.hosts.values() if host.cluster_id == number and not host.problem]
    shared = shared_datastores(cloud)
    vms = [vm for host in hosts for vm in cloud.vms_by_host.get(host.id, ()) if not vm.problem]
    elsewhere = {entry.vm for one in situation.incidents.values() for entry in one.entries}
    known = {vm.id for vm in vms}
    vms += [cloud.vms[one] for one in elsewhere - known if one in cloud.vms and not cloud.vms[one].problem]
    return model.Cluster(
        number,
        found.name,
        tuple(_host(host, situation) for host in hosts),
        tuple(vm_of(vm, shared, trusted=situation.trusted) for vm in vms),
        situation.answering,
        situation.quiet,
        situation.paused,
        found.plan_state in (0, 1),
        {n: one for n, one in situation.incidents.items() if _belongs(cloud, one, number)},
        frozenset(vm.id for vm in cloud.vms.values() if vm.problem),
        situation.rival,
    )


def _belongs(cloud: Cloud, incident: model.Incident, cluster: int) -> bool:
    """Return whether an incident is decided in a cluster: not while its host cannot be read."""
    host = cloud.hosts.get(incident.host)
    if host is None:
        return incident.cluster == cluster
    return host.cluster_id == cluster and not host.problem


def _host(host: Host, situation: Situation) -> model.Host:
    try:
        state = _SAME.get(host.state) or HostState(host.state)
    except ValueError:
        state = HostState.OFFLINE  # a state of a newer OpenNebula: it is left alone
    return model.Host(
        host.id,
        host.name,
        state,
        situation.silent.get(host.id, 0.0),
        bounds.words(host.text("ERROR"), 200) if state is HostState.ERROR else "",
        boot_id(host),
        host.id in situation.rebooted,
        host.id in situation.fence,
        host.id in situation.armed,
        host.id in situation.claimed,
        host.id in situation.maintenance,
        situation.bmcs.get(host.id, ""),
        host.id in situation.held,
    )


def boot_id(host: Host) -> str:
    """Return the boot id that the host's probe reported, empty where there is none."""
    text = scalar(host.template, BOOT_ID)
    return text if _BOOT_ID.fullmatch(text) else ""


def shared_datastores(cloud: Cloud) -> frozenset[int]:
    """Return the datastores that every host sees alike."""
    return frozenset(number for number, one in cloud.datastores.items() if _is_shared(one))


def _is_shared(datastore: Datastore) -> bool:
    """Return whether every host sees the same data; what is not known to be shared is not."""
    shared = scalar(datastore.template, "SHARED").upper()
    return not datastore.problem and datastore.tm_mad not in _LOCAL and shared == "YES"


def vm_of(vm: Vm, shared: frozenset[int], *, trusted: bool) -> model.Vm:
    """Return a VM as availability sees it; what tenants may have written counts only where `trusted`."""
    text = vm.user_template if trusted else {}
    return model.Vm(
        vm.id,
        bounds.words(vm.name, 60),
        vm.host_id,
        vm.stay.seq if vm.stay else -1,
        vm.state,
        vm.lcm_state,
        Size(round(100 * vm.cpu), vm.memory),
        on_shared_storage(vm, shared),
        "PCI" in vm.template,
        vm.locked,
        vm.resched,
        parked_by(vm),
        _service(vm),
        priority(vm, trusted=trusted),
        _action(scalar(text, ACTION)),
        _ready(scalar(text, READY)),
    )


def priority(vm: Vm, *, trusted: bool) -> int:
    """Return a VM's priority; what tenants may have written counts only where `trusted`."""
    return bounds.whole(scalar(vm.user_template, PRIORITY), 1, 9) or 5 if trusted else 5


def on_shared_storage(vm: Vm, shared: frozenset[int]) -> bool:
    """Return whether the system datastore and the driver of every disk are shared."""
    system = vm.stay is not None and vm.stay.datastore_id in shared and vm.stay.tm_mad not in _LOCAL
    return system and all(disk.tm_mad not in _LOCAL for disk in vm.disks)


def parked_by(vm: Vm) -> str:
    """Return who powered a VM off; only what the history surely ascribes to monitoring was not a person."""
    if vm.state != VmState.POWEROFF or vm.stay is None:
        return ""
    return "monitoring" if vm.stay.action == _MONITOR_ACTION else "person"


def _service(vm: Vm) -> str:
    return next((name for key, name in _SERVICES.items() if scalar(vm.user_template, key)), "")


def _action(text: str) -> Action | None:
    try:
        return Action(text.strip().lower()[:20])
    except ValueError:
        return None


def _ready(text: str) -> str:
    """Return a readiness check: `port N`, `guest agent` or a number of seconds."""
    words = text.strip().lower()[:40]
    port = bounds.whole(words.removeprefix("port "), 1, 65_535) if words.startswith("port ") else None
    if port is not None or words == "guest agent" or bounds.whole(words, 1, 86_400) is not None:
        return words
    return ""


def chosen(cloud: Cloud, number: int, key: str) -> Mapping[str, str]:
    """Return a vector of a cluster's template."""
    found = cloud.clusters.get(number)
    return vector(found.template, key) if found is not None and not found.problem else {}
