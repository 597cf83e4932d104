"""Collect the input of a pass from the snapshot that all parts share."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from urllib.parse import urlsplit

from hooks.targets import inventory, networks, protected_addresses
from hooks.targets.answering_exporters import Answering
from hooks.targets.inventory import Host, Inventory
from hooks.targets.leases import Leases
from hooks.targets.networks import ONEADMIN
from hooks.targets.protected_addresses import Names, Protected
from onext.cloud.model import Network
from onext.cloud.snapshot import Cloud
from onext.part import Context


def gather(context: Context, names: Names, exporters: Answering) -> Inventory:
    """Return the current state; raise an OnedError, also when a pool is truncated.

    Objects that could not be read are left out and counted; the snapshot's reader logs them.
    """
    cloud = context.cloud()
    hosts = tuple(inventory.hosts(cloud.hosts.values()))
    vms = tuple(_known_vms.of(cloud.vms.values()))
    unreadable = sum(bool(one.problem) for pool in (cloud.hosts, cloud.vms) for one in pool.values())
    answering = _answering(context, exporters, hosts)
    if not vms:  # nothing to protect
        return Inventory(hosts=hosts, answering=answering, unreadable=unreadable)
    known = _protected(context, cloud, names, hosts)
    unreadable += sum(bool(one.problem) for one in cloud.networks.values())
    leases = _known.leases(cloud)
    return Inventory(vms, hosts, leases, known.addresses, known.unknown, answering, unreadable)


def _answering(context: Context, exporters: Answering, hosts: Collection[Host]) -> frozenset[tuple[str, int]]:
    """Return the exporters that only some hosts have; hosts that are off are not asked."""
    jobs = context.settings.targets.jobs.values()
    ports = {job.port for job in jobs if job.enabled and job.answering}
    return exporters.of({host.name for host in hosts}, [host.name for host in hosts if host.monitored], ports)


def _protected(context: Context, cloud: Cloud, names: Names, hosts: Collection[Host]) -> Protected:
    """Return the addresses of front-ends, hosts and BMCs. A host that is off may have an unknown name."""
    ends = cloud.document("zonepool.info").iter("ENDPOINT")
    front_ends = {_host_name(end.text or "") for end in ends} - {""}
    return protected_addresses.protected(
        names,
        needed={*front_ends, *(host.name for host in hosts if host.monitored)},
        others=[host.name for host in hosts],
        bmc_file=context.paths.own_etc / "bmc.yaml",
    )


_known_vms = inventory.KnownVms()


class _Known:
    """The leases of the last pass, for as long as networks and administrators are the same."""

    def __init__(self) -> None:
        self._last: tuple[tuple[Network, ...], frozenset[int], Leases] | None = None

    def leases(self, cloud: Cloud) -> Leases:
        members = cloud.document("group.info", ONEADMIN).iterfind("USERS/ID")
        administrators = frozenset(int(text) for member in members if (text := member.text or "").isdecimal())
        found = tuple(one for one in cloud.networks.values() if not one.problem)
        if self._last is None or self._last[1] != administrators or not _same(self._last[0], found):
            read = (networks.of_network(one, administrators) for one in found)
            self._last = found, administrators, Leases.of_networks(read)
        return self._last[2]


_known = _Known()


def _same(before: Sequence[Network], now: Sequence[Network]) -> bool:
    """Whether these are the same objects; the reader replaces those that changed."""
    return len(before) == len(now) and all(one is other for one, other in zip(before, now, strict=True))


def _host_name(endpoint: str) -> str:
    try:
        return urlsplit(endpoint).hostname or ""
    except ValueError:
        return ""
