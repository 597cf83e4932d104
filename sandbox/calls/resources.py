"""one.template.*, one.image.*, one.datastore.*, one.vn.*, one.vmgroup.* and their pools."""

from sandbox.calls.answers import change, document, info, listing, owned, the
from sandbox.calls.vms import make, touched
from sandbox.errors import InternalError
from sandbox.frontend import FrontEnd
from sandbox.rpc.table import call
from sandbox.rpc.wire import Document
from sandbox.state.access import Caller
from sandbox.state.network import Range, VNet
from sandbox.state.pool_object import ADMIN, CREATE, MANAGE, USE
from sandbox.state.pools import check_name
from sandbox.state.resources import Datastore, Image, Role, VMGroup, VMTemplate
from sandbox.state.world import OWN
from sandbox.template import Template


def _register(kind: str, *, ranged: bool) -> None:
    """Register what these resources have in common."""

    @call(f"one.{kind}.info", "i?b", reads=True)
    def _info(front: FrontEnd, caller: Caller, oid: int, _flag: bool = False) -> Document:  # noqa: FBT001, FBT002
        return info(the(front, caller, front.world.pool(kind), oid, USE))

    @call(f"one.{kind}.update", "is?i")
    def _update(front: FrontEnd, caller: Caller, oid: int, source: str, mode: int = 0) -> int:
        thing = the(front, caller, front.world.pool(kind), oid, MANAGE)
        if kind == "vn" and not caller.admin and (taken := touched(front, front.parse(source), "VNET")):
            raise InternalError(f"Cannot update template. Template includes a restricted attribute {taken}")
        return change(front, thing, source, mode)

    @call(f"one.{kind}.delete", "i?b")
    def _delete(front: FrontEnd, caller: Caller, oid: int, _flag: bool = False) -> int:  # noqa: FBT001, FBT002
        pool = front.world.pool(kind)
        pool.drop(the(front, caller, pool, oid, MANAGE))
        return oid

    if ranged:

        @call(f"one.{kind}pool.info", "iii", reads=True)
        def _listed(front: FrontEnd, caller: Caller, whose: int, start: int, end: int) -> Document:
            pool = front.world.pool(kind)
            return document(pool.root, listing(front, caller, pool, whose, (start, end)))

    else:

        @call(f"one.{kind}pool.info", reads=True)
        def _all(front: FrontEnd, caller: Caller) -> Document:
            pool = front.world.pool(kind)
            return document(pool.root, listing(front, caller, pool))


for _kind in ("template", "image", "vn", "vmgroup"):
    _register(_kind, ranged=True)
_register("datastore", ranged=False)


def _named(front: FrontEnd, caller: Caller, kind: str, source: str) -> tuple[str, Template]:
    front.world.access.demand(caller, CREATE, kind, None)
    template = front.parse(source)
    name = template.get("NAME")
    template.remove("NAME")
    check_name(name)
    return name, template


@call("one.template.allocate", "s")
def template_allocate(front: FrontEnd, caller: Caller, source: str) -> int:
    """Register a VM template."""
    name, template = _named(front, caller, "TEMPLATE", source)
    return front.world.templates.add(owned(VMTemplate(name=name, template=template), caller)).id


@call("one.template.instantiate", "i?sbsb")
def instantiate(
    front: FrontEnd,
    caller: Caller,
    oid: int,
    name: str = "",
    hold: bool = False,  # noqa: FBT001, FBT002
    extra: str = "",
    persistent: bool = False,  # noqa: ARG001, FBT001, FBT002
) -> int:
    """Make a VM of a VM template."""
    source = the(front, caller, front.world.templates, oid, USE).template.copy()
    source.merge(front.parse(extra))
    if name:
        source.put("NAME", name)
    source.put("TEMPLATE_ID", oid)
    return make(front, caller, source, hold=hold)


@call("one.image.allocate", "si?b")
def image_allocate(front: FrontEnd, caller: Caller, source: str, ds_id: int, check: bool = True) -> int:  # noqa: ARG001, FBT001, FBT002
    """Make an image of SIZE MiB; it is there at once."""
    name, template = _named(front, caller, "IMAGE", source)
    store = the(front, caller, front.world.datastores, ds_id, USE)
    size = int(template.number("SIZE", 1024))
    kind = front.world.release.image_format
    image = Image(name=name, template=template, size=size, datastore=store, format=kind)
    store.images.append(front.world.images.add(owned(image, caller)).id)
    store.touch()
    return image.id


@call("one.datastore.allocate", "s?i")
def datastore_allocate(front: FrontEnd, caller: Caller, source: str, cluster_id: int = 0) -> int:
    """Make a datastore."""
    name, template = _named(front, caller, "DATASTORE", source)
    kind = {"SYSTEM_DS": Datastore.SYSTEM, "FILE_DS": Datastore.FILE}.get(
        template.get("TYPE"), Datastore.IMAGE
    )
    cluster = front.world.clusters.get(max(cluster_id, 0))
    number = max(OWN, max((one.id for one in front.world.datastores), default=0) + 1)
    store = Datastore(name=name, id=number, type=kind, template=template, cluster_ids=[cluster.id])
    front.world.datastores.add(owned(store, caller))
    cluster.datastores.append(store.id)
    cluster.touch()
    return store.id


@call("one.vn.allocate", "s?i")
def vn_allocate(front: FrontEnd, caller: Caller, source: str, cluster_id: int = 0) -> int:
    """Make a virtual network with its address ranges."""
    name, template = _named(front, caller, "NET", source)
    ranges = [value for value in template.remove("AR") if isinstance(value, dict)]
    defaults = {
        "BRIDGE_TYPE": "linux",
        "OUTER_VLAN_ID": "",
        "PHYDEV": "",
        "SECURITY_GROUPS": "0",
        "VLAN_ID": "",
    }
    for key, value in defaults.items():
        if key not in template.attributes:
            template.put(key, value)
    cluster = front.world.clusters.get(max(cluster_id, 0))
    detailed = front.world.release.range_state
    network = VNet(name=name, template=template, cluster_ids=[cluster.id], detailed=detailed)
    network.ranges = [Range(number, _with_mac(number, one)) for number, one in enumerate(ranges)]
    front.world.vnets.add(owned(network, caller))
    cluster.vnets.append(network.id)
    cluster.touch()
    return network.id


def _with_mac(number: int, attributes: dict[str, str]) -> dict[str, str]:
    octets = [int(part) for part in attributes.get("IP", f"0.0.{number}.0").split(".")]
    mac = "02:00:" + ":".join(f"{octet:02x}" for octet in octets)
    return {"TYPE": "IP4", "MAC": mac, **attributes}


@call("one.vmgroup.allocate", "s")
def vmgroup_allocate(front: FrontEnd, caller: Caller, source: str) -> int:
    """Make a VM group with its roles."""
    name, template = _named(front, caller, "VMGROUP", source)
    roles = [value for value in template.remove("ROLE") if isinstance(value, dict)]
    group = VMGroup(
        name=name, template=template, roles=[Role(number, one) for number, one in enumerate(roles)]
    )
    return front.world.vmgroups.add(owned(group, caller)).id


def _join(front: FrontEnd, caller: Caller, oid: int, thing: Datastore | VNet, *, joined: bool) -> int:
    cluster = the(front, caller, front.world.clusters, oid, ADMIN)
    members = cluster.datastores if isinstance(thing, Datastore) else cluster.vnets
    for numbers, number in ((members, thing.id), (thing.cluster_ids, oid)):
        if joined and number not in numbers:
            numbers.append(number)
        if not joined and number in numbers:
            numbers.remove(number)
    cluster.touch()
    thing.touch()
    return oid


@call("one.cluster.adddatastore", "ii")
def adddatastore(front: FrontEnd, caller: Caller, oid: int, ds_id: int) -> int:
    """Put a datastore into one more cluster."""
    return _join(front, caller, oid, the(front, caller, front.world.datastores, ds_id, ADMIN), joined=True)


@call("one.cluster.deldatastore", "ii")
def deldatastore(front: FrontEnd, caller: Caller, oid: int, ds_id: int) -> int:
    """Take a datastore out of a cluster."""
    return _join(front, caller, oid, the(front, caller, front.world.datastores, ds_id, ADMIN), joined=False)


@call("one.cluster.addvnet", "ii")
def addvnet(front: FrontEnd, caller: Caller, oid: int, vn_id: int) -> int:
    """Put a network into one more cluster."""
    return _join(front, caller, oid, the(front, caller, front.world.vnets, vn_id, ADMIN), joined=True)


@call("one.cluster.delvnet", "ii")
def delvnet(front: FrontEnd, caller: Caller, oid: int, vn_id: int) -> int:
    """Take a network out of a cluster."""
    return _join(front, caller, oid, the(front, caller, front.world.vnets, vn_id, ADMIN), joined=False)
