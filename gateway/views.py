"""The lists of the API for one caller: oned's pools as filtered for the caller, own data as permitted."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from gateway import describe
from gateway.callers import Caller
from gateway.own_data import OwnData
from gateway.pools import SECONDS, Pools
from gateway.records import Cluster, Energy, Host, Incident, PowerPlan, Site, Target, Tunnel, Vm
from gateway.refusals import Missing, Refusal
from gateway.visible import Sight
from onext import bounds
from onext.cloud import model
from onext.cloud.parse import host as host_of
from onext.cloud.parse import safely as parse_safely
from onext.cloud.parse import vm as vm_of
from onext.xml import Element, MalformedXML, parse

_MIGRATE = 4  # LCM_STATE of a VM that moves live
_MOST_MIGRATIONS = 50  # VMs whose source is asked for, one call each


class Views:
    """Everything that a caller may read."""

    def __init__(self, pools: Pools, own: OwnData) -> None:
        self.pools, self.own = pools, own

    async def sight(self, caller: Caller, max_age: float = SECONDS) -> Sight:
        """Return what the caller sees, as ids."""
        if caller.administrator:
            return Sight(True, caller.id, (), (), ())
        hosts, vms, clusters = await asyncio.gather(
            self.pools.hosts(caller, max_age),
            self.pools.vms(caller, max_age),
            self.pools.clusters(caller, max_age),
        )
        return Sight(False, caller.id, hosts.keys(), vms.keys(), clusters.keys())

    async def hosts(self, caller: Caller) -> list[Host]:
        """Return the hosts."""
        found, sight = await asyncio.gather(self.pools.hosts(caller), self.sight(caller))
        plans = {one.id: one for one in sight.plans(self.own.power().values())}
        incidents = {one.id: one for one in sight.incidents(self.own.incidents().values())}
        watts: Mapping[int, float] = self.own.watts() if sight.administrator else {}
        return [
            describe.host(one, plans.get(one.id), incidents.get(one.id), watts.get(one.id))
            for one in found.values()
        ]

    async def vms(self, caller: Caller) -> list[Vm]:
        """Return the VMs."""
        return [describe.vm(one) for one in (await self.pools.vms(caller)).values()]

    async def vm(self, caller: Caller, number: int) -> Vm:
        """Return one VM, also when it is DONE; raise Missing, Forbidden."""
        found = parse_safely(vm_of, model.Vm, await self.pools.vm(caller, number))
        if found is None:
            raise Missing("not found")
        return describe.vm(found)

    async def host(self, caller: Caller, number: int) -> Host:
        """Return one host as oned shows it, without onext's own data; raise Missing, Forbidden."""
        found = parse_safely(host_of, model.Host, await self.pools.host(caller, number))
        if found is None:
            raise Missing("not found")
        return describe.host(found, None, None, None)

    async def clusters(self, caller: Caller) -> list[Cluster]:
        """Return the clusters."""
        return [describe.cluster(one) for one in (await self.pools.clusters(caller)).values()]

    async def sites(self, caller: Caller) -> list[Site]:
        """Return the places at which the caller's hosts are."""
        return list(describe.sites(await self.hosts(caller)))

    async def targets(self, caller: Caller) -> list[Target]:
        """Return the scrape targets."""
        sight = await self.sight(caller)
        return list(sight.targets(await asyncio.to_thread(self.own.targets)))

    async def power(self, caller: Caller) -> list[PowerPlan]:
        """Return the plans of power management."""
        return list((await self.sight(caller)).plans(self.own.power().values()))

    async def ha(self, caller: Caller) -> list[Incident]:
        """Return the incidents."""
        return list((await self.sight(caller)).incidents(self.own.incidents().values()))

    async def incident(self, caller: Caller, host: int) -> Incident | None:
        """Return the incident of one host."""
        return next((one for one in await self.ha(caller) if one.id == host), None)

    async def energy(self, caller: Caller) -> list[Energy]:
        """Return the energy of clusters."""
        return list((await self.sight(caller)).energy(self.own.energy().values()))

    async def tunnels(self, caller: Caller) -> list[Tunnel]:
        """Return the live migrations under way, each with where it began."""
        vms = await self.pools.vms(caller)
        moving = [vm for vm in vms.values() if vm.lcm_state == _MIGRATE][:_MOST_MIGRATIONS]
        if not moving:
            return []
        sight = await self.sight(caller)
        found = await asyncio.gather(*(self._tunnel(caller, vm) for vm in moving))
        return [
            one
            for one in found
            if one is not None
            and sight.sees("host", one.source_id)
            and sight.sees("host", one.destination_id)
        ]

    async def _tunnel(self, caller: Caller, vm: model.Vm) -> Tunnel | None:
        try:
            element = await self.pools.vm(caller, vm.id)
            records = parse(element).findall("HISTORY_RECORDS/HISTORY")
        except (Refusal, MalformedXML):
            return None
        return _migration(vm, records)


def _migration(vm: model.Vm, records: list[Element]) -> Tunnel | None:
    if len(records) < 2:
        return None
    source, destination = records[-2], records[-1]
    return Tunnel(
        id=vm.id,
        vm=bounds.words(vm.name, describe.NAME),
        source_id=_number(source, "HID"),
        source=bounds.words(source.findtext("HOSTNAME"), describe.NAME),
        destination_id=_number(destination, "HID"),
        destination=bounds.words(destination.findtext("HOSTNAME"), describe.NAME),
        since=float(_number(destination, "STIME")),
    )


def _number(record: Element, tag: str) -> int:
    found = bounds.whole(record.findtext(tag), 0, 2**40)
    return -1 if found is None else found
