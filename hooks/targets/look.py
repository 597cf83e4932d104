"""Reading what targets are made of from oned."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from urllib.parse import urlsplit

from hooks.targets import inventory, networks, protected_addresses
from hooks.targets.inventory import Inventory
from hooks.targets.leases import Leases
from hooks.targets.networks import ONEADMIN, VirtualNetwork
from hooks.targets.protected_addresses import Names, Protected
from onext import bounds
from onext.oned import stream
from onext.oned.errors import Malformed
from onext.part import Context

_ALL_NETWORKS = (-2, -1, -1)
_MOST_UNREADABLE = 100
_SHOWN = 80


def look(context: Context, names: Names) -> Inventory:
    """Return what is; raise an OnedError, also when a pool is cut.

    Objects that cannot be read are left out and named in `unreadable`.
    """
    source, unreadable = context.oned.source, list[str]()
    hosts = tuple(
        inventory.hosts(stream.pool(source, "hostpool.info", tag="HOST"), _reporter("host", unreadable))
    )
    pool = stream.pool(source, "vmpool.infoextended", *stream.ALL_VMS, tag="VM")
    vms = tuple(inventory.vms(pool, _reporter("VM", unreadable)))
    if not vms:  # nothing to guard
        return Inventory(hosts=hosts, unreadable=tuple(unreadable))
    known = _protected(context, names, hosts)
    leases = Leases.of_networks(_networks(context, unreadable))
    return Inventory(vms, hosts, leases, known.addresses, known.unknown, tuple(unreadable))


def _protected(context: Context, names: Names, hosts: Collection[inventory.Host]) -> Protected:
    """Return the addresses of front-ends, hosts and BMCs. A host that is off may have an unknown name."""
    ends = context.oned.document("zonepool.info").iter("ENDPOINT")
    front_ends = {_host_name(end.text or "") for end in ends} - {""}
    return protected_addresses.protected(
        names,
        needed={*front_ends, *(host.name for host in hosts if host.monitored)},
        others=[host.name for host in hosts],
        bmc_file=context.paths.own_etc / "bmc.yaml",
    )


def _networks(context: Context, unreadable: list[str]) -> Iterator[VirtualNetwork]:
    members = context.oned.document("group.info", ONEADMIN).iterfind("USERS/ID")
    administrators = {int(text) for member in members if (text := member.text or "").isdecimal()}
    report = _reporter("network", unreadable)
    for element in stream.pool(context.oned.source, "vnpool.info", *_ALL_NETWORKS, tag="VNET"):
        try:
            yield networks.read(element, administrators)
        except (ValueError, KeyError, Malformed) as error:
            report(element, error)


def _reporter(kind: str, unreadable: list[str]) -> Callable[[bytes, Exception], None]:
    def report(element: bytes, error: Exception) -> None:
        if len(unreadable) < _MOST_UNREADABLE:
            begun = bounds.words(element[:_SHOWN].decode("utf-8", "replace"), _SHOWN)
            reason = bounds.words(str(error), 2 * _SHOWN)
            unreadable.append(f"a {kind} cannot be read and is left out: {reason} in {begun!r}")

    return report


def _host_name(endpoint: str) -> str:
    try:
        return urlsplit(endpoint).hostname or ""
    except ValueError:
        return ""
