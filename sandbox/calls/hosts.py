"""one.host.* and one.hostpool.*."""

import time

from sandbox.calls.answers import change, info, listing, the
from sandbox.errors import ActionError, InternalError
from sandbox.frontend import FrontEnd
from sandbox.markup import wire
from sandbox.rpc.table import call
from sandbox.rpc.wire import Document
from sandbox.state.access import EVERYTHING, Caller
from sandbox.state.cluster import Cluster
from sandbox.state.host import Host, check_hostname
from sandbox.state.names import HostState
from sandbox.state.pool_object import ADMIN, CREATE, USE
from sandbox.state.world import reserving

_ENABLED, _DISABLED, _OFFLINE = range(3)


@call("one.host.allocate", "sss?i")
def allocate(
    front: FrontEnd, caller: Caller, name: str, im_mad: str, vm_mad: str, cluster_id: int = -1
) -> int:
    """Add a host; its first message comes a moment later."""
    front.world.access.demand(caller, CREATE, "HOST", None)
    cluster = front.world.clusters.get(max(cluster_id, 0))
    check_hostname(name)
    for what, driver in (("IM_MAD", im_mad), ("VMM_MAD", vm_mad)):
        if not driver:
            raise InternalError(f"{what}_NAME cannot be empty.")
    host = Host(name=name, im_mad=im_mad, vm_mad=vm_mad, template=reserving(), machine=front.world.machine())
    host.template.put("IM_MAD", im_mad)
    host.template.put("VM_MAD", vm_mad)
    front.world.hosts.add(host)
    move(front, host, cluster)
    front.host_changed(host, announce=True)
    front.host_life.expect(host)
    return host.id


def move(front: FrontEnd, host: Host, cluster: Cluster) -> None:
    """Put a host into a cluster. No hook hears of it."""
    old = front.world.clusters.find(host.cluster_id)
    if old and host.id in old.hosts:
        old.hosts.remove(host.id)
        old.touch()
    host.cluster_id, host.cluster = cluster.id, cluster.name
    cluster.hosts.append(host.id)
    cluster.touch()
    host.reserve(cluster.reserved())
    host.touch()


@call("one.host.info", "i?b", reads=True)
def host_info(front: FrontEnd, caller: Caller, oid: int, decrypt: bool = False) -> Document:  # noqa: ARG001, FBT001, FBT002
    """Return a host."""
    return info(the(front, caller, front.world.hosts, oid, USE))


@call("one.host.update", "is?i")
def update(front: FrontEnd, caller: Caller, oid: int, source: str, mode: int = 0) -> int:
    """Change a host's template; drivers and reservations follow it."""
    host = the(front, caller, front.world.hosts, oid, ADMIN)
    change(front, host, source, mode)
    host.im_mad = host.template.get("IM_MAD") or host.im_mad
    host.vm_mad = host.template.get("VM_MAD") or host.vm_mad
    host.template.put("IM_MAD", host.im_mad)
    host.template.put("VM_MAD", host.vm_mad)
    host.reserve(front.reserved_of(host))
    host.touch()
    return oid


@call("one.host.delete", "i")
def delete(front: FrontEnd, caller: Caller, oid: int) -> int:
    """Remove a host that has no VM."""
    host = the(front, caller, front.world.hosts, oid, ADMIN)
    if host.vms:
        raise ActionError(f"Can not remove a host with running VMs, host: {host.id}")
    cluster = front.world.clusters.get(host.cluster_id)
    cluster.hosts.remove(host.id)
    cluster.touch()
    front.world.hosts.drop(host)
    return oid


@call("one.host.status", "ii")
def status(front: FrontEnd, caller: Caller, oid: int, wanted: int) -> int:
    """Enable (0), disable (1) or take offline (2); the last is accepted even with running VMs."""
    host = the(front, caller, front.world.hosts, oid, ADMIN)
    if wanted == _ENABLED:
        host.enable()
    elif wanted == _DISABLED:
        host.disable()
    elif wanted == _OFFLINE:
        host.offline()
    else:
        raise InternalError("Wrong status code")
    front.host_changed(host)
    if (wanted != _OFFLINE and not host.share.total_cpu) or host.state == HostState.INIT:
        front.host_life.expect(host)
    return oid


@call("one.host.rename", "is")
def rename(front: FrontEnd, caller: Caller, oid: int, name: str) -> int:
    """Give a host another name."""
    host = the(front, caller, front.world.hosts, oid, ADMIN)
    check_hostname(name)
    front.world.hosts.rename(host, name)
    return oid


@call("one.host.monitoring", "i", reads=True)
def monitoring(front: FrontEnd, caller: Caller, oid: int) -> Document:
    """Return every record of a host."""
    host = the(front, caller, front.world.hosts, oid, USE)
    return Document.of(f"<MONITORING_DATA>{''.join(xml for _, xml in host.records)}</MONITORING_DATA>")


@call("one.hostpool.info", reads=True)
def pool_info(front: FrontEnd, caller: Caller) -> Document:
    """Return all hosts that the caller may use."""
    hosts = listing(front, caller, front.world.hosts)
    return Document([*Document.of("<HOST_POOL>"), *map(Host.pooled, hosts), *Document.of("</HOST_POOL>")])


@call("one.hostpool.monitoring", "?i", reads=True)
def pool_monitoring(front: FrontEnd, caller: Caller, seconds: int = -1) -> Document:
    """Return records by host: all (-1), the last ones (0), those of the last seconds."""
    hosts = sorted(
        front.world.access.visible(caller, EVERYTHING, list(front.world.hosts)), key=lambda host: host.id
    )
    answer = Document.of("<MONITORING_DATA>")
    for host in hosts:
        answer.extend(wire(xml) for xml in chosen(host.records, seconds))
    answer.extend(Document.of("</MONITORING_DATA>"))
    return answer


def chosen(records: list[tuple[int, str]], seconds: int) -> list[str]:
    """Return the records that `seconds` of a pool's monitoring call means."""
    if seconds == 0:
        return [xml for _, xml in records[-1:]]
    since = time.time() - seconds if seconds > 0 else 0
    return [xml for when, xml in records if when > since]
