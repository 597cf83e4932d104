"""The facts about objects that leave the cloud: an allow-list of fields, never a template or a hook's XML.

Facts are flat, small and made of text and numbers. What owners write (names) is cut and made printable.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

from onext import bounds
from onext.cloud.model import Cluster, Host, Image, Network, Vm
from onext.cloud.snapshot import Cloud
from onext.oned.objects import HostState, ImageState, VmState

Value = str | int | float
Facts = Mapping[str, Value]
LONGEST_NAME = 128
_LONGEST_PLACE = 64
_POWER_PHASES = frozenset(
    ("draining", "closing", "stopping", "off", "waking", "returning", "quarantined", "left")
)


class Object(NamedTuple):
    """What an event is about."""

    kind: str  # vm, host, cluster, network, image, edge
    id: int

    def __str__(self) -> str:
        return f"{self.kind}/{self.id}"


def facts(cloud: Cloud) -> dict[Object, Facts]:
    """Return the facts about every object of a snapshot; objects that could not be read are left out."""
    return dict(_all(cloud))


def unknown(cloud: Cloud) -> frozenset[Object]:
    """Return the objects that are there and could not be read."""
    found = (
        Object(kind, one.id) for kind, objects, _ in _kinds(cloud) for one in objects.values() if one.problem
    )
    return frozenset(found)


def _all(cloud: Cloud) -> Iterator[tuple[Object, Facts]]:
    for kind, objects, read in _kinds(cloud):
        for one in objects.values():
            if not one.problem:
                yield Object(kind, one.id), read(one)


def _kinds(cloud: Cloud) -> Iterator[tuple[str, Mapping[int, Any], Callable[[Any], Facts]]]:
    """Yield each kind of object with its pool and the function that returns the facts of one."""
    yield "vm", cloud.vms, of_vm
    yield "host", cloud.hosts, of_host
    yield "cluster", cloud.clusters, of_cluster
    yield "network", cloud.networks, of_network
    yield "image", cloud.images, of_image


def of_vm(vm: Vm) -> Facts:
    """Return the facts about a VM: state, placement, owner, size."""
    return {
        "name": bounds.words(vm.name, LONGEST_NAME),
        "state": _name(VmState, vm.state),
        "lcm_state": vm.lcm_state,
        "host": vm.host_id,
        "cluster": vm.cluster_id,
        "history": vm.stay.seq if vm.stay else -1,
        "uid": vm.uid,
        "gid": vm.gid,
        "cpu": vm.cpu,
        "memory_mib": vm.memory,
        "disk_mib": sum(disk.size for disk in vm.disks),
    }


def of_host(host: Host) -> Facts:
    """Return the facts about a host: state, capacity, place, power management."""
    return {
        "name": bounds.words(host.name, LONGEST_NAME),
        "state": _name(HostState, host.state),
        "cluster": host.cluster_id,
        "cpu": host.max_cpu,
        "memory_kib": host.max_memory,
        "vms": len(host.vm_ids),
        "geolocation": _place(host),
        "power": _power(host),
    }


def of_cluster(cluster: Cluster) -> Facts:
    """Return the facts about a cluster: how many hosts, datastores and networks it has."""
    return {
        "name": bounds.words(cluster.name, LONGEST_NAME),
        "hosts": len(cluster.host_ids),
        "datastores": len(cluster.datastore_ids),
        "networks": len(cluster.network_ids),
    }


def of_network(network: Network) -> Facts:
    """Return the facts about a network: its owner, size and leases."""
    return {
        "name": bounds.words(network.name, LONGEST_NAME),
        "uid": network.uid,
        "gid": network.gid,
        "addresses": sum(one.size for one in network.ranges),
        "leases": sum(len(one.leases) for one in network.ranges),
    }


def of_image(image: Image) -> Facts:
    """Return the facts about an image: state, owner, size, datastore, use."""
    return {
        "name": bounds.words(image.name, LONGEST_NAME),
        "state": _name(ImageState, image.state),
        "uid": image.uid,
        "gid": image.gid,
        "size_mib": image.size,
        "datastore": image.datastore_id,
        "running_vms": image.running_vms,
        "persistent": int(image.persistent),
    }


def _name(states: type[HostState | VmState | ImageState], number: int) -> str:
    return states(number).name


def _place(host: Host) -> str:
    """Return `latitude,longitude` of a host, empty where its template has no such pair."""
    parts = host.text("GEOLOCATION")[:_LONGEST_PLACE].split(",")
    values = [bounds.number(part, -180.0, 180.0) for part in parts]
    if len(values) != 2 or None in values:
        return ""
    return ",".join(f"{value:g}" for value in values)


def _power(host: Host) -> str:
    """Return the phase of power management that the host's template shows to people."""
    vector = host.template.get("ONEXT_POWER_STATE", {})
    phase = "" if isinstance(vector, str) else vector.get("PHASE", "")
    return phase if phase in _POWER_PHASES else ""
