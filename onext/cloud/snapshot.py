"""What a part is given: the pools of one round, each read when it is first asked for, never changed after."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, TypeVar

from onext.cloud.model import Cluster, Datastore, Host, Image, Network, Vm
from onext.xml import Element

Object = TypeVar("Object", Cluster, Datastore, Host, Image, Network, Vm)


def clock() -> float:
    """Return seconds that only grow, and grow while this machine is suspended too."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


@dataclass(frozen=True)
class Cloud:
    """The pools of one round, by id. `began` (by `clock`) and `taken` (Unix time) are when the round began.

    Every attribute raises an OnedError where its pool could not be read. An object that could not be read is
    there with a `problem`; VMs that are DONE are not there.
    """

    pool: Callable[[str], Mapping[int, Any]] = field(repr=False)
    read: Callable[..., Element] = field(repr=False)
    began: float = field(default_factory=clock)
    taken: float = field(default_factory=time.time)

    @classmethod
    def of(
        cls,
        hosts: Iterable[Host] = (),
        vms: Iterable[Vm] = (),
        clusters: Iterable[Cluster] = (),
        datastores: Iterable[Datastore] = (),
        networks: Iterable[Network] = (),
        images: Iterable[Image] = (),
        documents: Mapping[str, Element] | None = None,
    ) -> Cloud:
        """Return a cloud of given objects, for tests and simulations; `documents` by method."""
        pools: dict[str, Mapping[int, object]] = {
            "hosts": by_id(hosts),
            "vms": by_id(vms),
            "clusters": by_id(clusters),
            "datastores": by_id(datastores),
            "networks": by_id(networks),
            "images": by_id(images),
        }
        return cls(pools.__getitem__, lambda method, *_: (documents or {})[method])

    @cached_property
    def hosts(self) -> Mapping[int, Host]:
        """Every host."""
        return self.pool("hosts")

    @cached_property
    def vms(self) -> Mapping[int, Vm]:
        """Every VM that is not DONE."""
        return self.pool("vms")

    @cached_property
    def clusters(self) -> Mapping[int, Cluster]:
        """Every cluster."""
        return self.pool("clusters")

    @cached_property
    def datastores(self) -> Mapping[int, Datastore]:
        """Every datastore."""
        return self.pool("datastores")

    @cached_property
    def networks(self) -> Mapping[int, Network]:
        """Every virtual network, with its leases."""
        return self.pool("networks")

    @cached_property
    def images(self) -> Mapping[int, Image]:
        """Every image."""
        return self.pool("images")

    @cached_property
    def vms_by_host(self) -> Mapping[int, tuple[Vm, ...]]:
        """The VMs of each host by their last history record, in whatever state they are."""
        placed: dict[int, list[Vm]] = {}
        for vm in self.vms.values():
            placed.setdefault(vm.host_id, []).append(vm)
        return {host: tuple(vms) for host, vms in placed.items() if host >= 0}

    def unaccounted(self, host: Host) -> frozenset[int]:
        """Return the ids of VMs that oned counts on a host and of which nothing certain is known."""
        known = {vm.id for vm in self.vms_by_host.get(host.id, ()) if not vm.problem}
        return host.vm_ids - known

    def document(self, method: str, *arguments: str | int | bool) -> Element:
        """Return the answer of `one.<method>`, asked once for all parts of a round."""
        return self.read(method, *arguments)


def by_id(objects: Iterable[Object]) -> Mapping[int, Object]:
    """Return objects by id."""
    return {item.id: item for item in objects}
