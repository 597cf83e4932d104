"""From the template that somebody submits to the one that a VM has: disks, NICs, context, requirements.

The attributes are those that recorded VMs have: an image or a volatile disk, a leased address, an alias.
"""

import uuid
from collections.abc import Iterable

from sandbox.errors import InternalError
from sandbox.state.network import VNet
from sandbox.state.resources import Image
from sandbox.state.vm import VM
from sandbox.state.world import World
from sandbox.template import Template, names

# What oned keeps in TEMPLATE; everything else is the owner's USER_TEMPLATE.
_OURS = set(
    names(
        "BACKUP_CONFIG CONTEXT CPU CPU_COST CPU_MODEL DISK DISK_COST EMULATOR FEATURES GRAPHICS INPUT MEMORY "
        "MEMORY_COST MEMORY_MAX MEMORY_RESIZE_MODE MEMORY_SLOTS NIC NIC_ALIAS NIC_DEFAULT NUMA_NODE OS PCI "
        "RAW SUBMIT_ON_HOLD TEMPLATE_ID TOPOLOGY TPM VCPU VCPU_MAX VIDEO VMGROUP VM_TEMPLATE"
    )
)
_ETH = names(
    "DNS EXTERNAL GATEWAY IP IP6 IP6_GATEWAY IP6_METHOD IP6_METRIC IP6_PREFIX_LENGTH IP6_ULA MAC MASK "
    "METHOD METRIC MTU NETWORK SEARCH_DOMAIN VLAN_ID VROUTER_IP VROUTER_IP6 VROUTER_MANAGEMENT"
)
_OF_NETWORK = {
    "DNS": "DNS",
    "GATEWAY": "GATEWAY",
    "IP6_GATEWAY": "GATEWAY6",
    "MASK": "NETWORK_MASK",
    "MTU": "GUEST_MTU",
    "NETWORK": "NETWORK_ADDRESS",
    "SEARCH_DOMAIN": "SEARCH_DOMAIN",
    "IP6_PREFIX_LENGTH": "PREFIX_LENGTH",
}
_OF_NIC = {"IP": "IP", "IP6": "IP6_GLOBAL", "IP6_ULA": "IP6_ULA", "MAC": "MAC", "EXTERNAL": "EXTERNAL"}
_INHERITED = ("DNS", "GATEWAY", "MTU", "EXTERNAL_IP", "FILTER", "METHOD")
_RULES = ("OUTBOUND", "INBOUND")


def split(source: Template) -> tuple[Template, Template]:
    """Return what is oned's and what is the owner's of a submitted template."""
    ours, owners = Template(), Template()
    for name, values in source.copy().attributes.items():
        (ours if name in _OURS else owners).attributes[name] = values
    return ours, owners


def check(template: Template) -> None:
    """Refuse a VM without memory or CPU."""
    if template.number("MEMORY") <= 0:
        raise InternalError("MEMORY attribute must be a positive integer value")
    if template.number("CPU") <= 0:
        raise InternalError("CPU attribute must be a positive float or integer value")


def complete(world: World, vm: VM) -> None:
    """Fill in a new VM's template; leases are taken, images and groups know of it."""
    template = vm.template
    template.put("VMID", vm.id)
    os = template.vectors("OS")[0] if template.vectors("OS") else {}
    template.put("OS", os | {"UUID": os.get("UUID") or str(uuid.uuid4())})
    disks = [_disk(world, vm, number, disk) for number, disk in enumerate(template.vectors("DISK"))]
    nics = _nics(world, vm, "NIC", 0)
    aliases = _nics(world, vm, "NIC_ALIAS", len(nics))
    for name, values in (("DISK", disks), ("NIC", nics), ("NIC_ALIAS", aliases)):
        if values:
            template.attributes[name] = list(values)
    _context(world, template, len(disks), [*nics, *aliases])
    if nics:
        template.attributes["SECURITY_GROUP_RULE"] = [_rule(way) for way in _RULES]
    requirements(template)
    _join_group(world, vm)


def requirements(template: Template, tm_mad: str = "") -> None:
    """Write the AUTOMATIC_* attributes: the clusters where all its disks and networks are."""
    disks = [disk for disk in template.vectors("DISK") if "CLUSTER_ID" in disk]
    nics = template.vectors("NIC")
    both = _common(disks + nics)
    where = " | ".join(f"CLUSTER_ID = {number}" for number in both)
    template.put(
        "AUTOMATIC_REQUIREMENTS", f"({where}) & !(PIN_POLICY = PINNED)" if both else "!(PIN_POLICY = PINNED)"
    )
    for name, vectors in (("DS", disks or nics), ("NIC", nics)):
        if vectors:
            clusters = " | ".join(f'"CLUSTERS/ID" @> {number}' for number in both)
            stays = f' & (TM_MAD = "{tm_mad}")' if tm_mad and name == "DS" else ""
            template.put(f"AUTOMATIC_{name}_REQUIREMENTS", f"({clusters}){stays}")


def _common(vectors: Iterable[dict[str, str]]) -> list[int]:
    sets = [{int(number) for number in vector["CLUSTER_ID"].split(",") if number} for vector in vectors]
    return sorted(set.intersection(*sets)) if sets else []


def _disk(world: World, vm: VM, number: int, disk: dict[str, str]) -> dict[str, str]:
    image = _image(world, disk)
    letter = chr(ord("a") + number)
    if image is None:
        return {"DISK_ID": str(number), "TARGET": f"sd{letter}", "DEV_PREFIX": "sd", "SAVE": "NO", **disk}
    image.vms.append(vm.id)
    image.state = 2
    image.touch()
    datastore, store = image.datastore, image.datastore.template.get
    return {
        "ALLOW_ORPHANS": store("ALLOW_ORPHANS"),
        "CLONE": "YES",
        "CLONE_TARGET": store("CLONE_TARGET"),
        "CLUSTER_ID": ",".join(map(str, sorted(datastore.cluster_ids))),
        "DATASTORE": datastore.name,
        "DATASTORE_ID": str(datastore.id),
        "DEV_PREFIX": "sd",
        "DISK_ID": str(number),
        "DISK_SNAPSHOT_TOTAL_SIZE": "0",
        "DISK_TYPE": "FILE",
        "DRIVER": image.format,
        "FORMAT": image.format,
        "IMAGE": image.name,
        "IMAGE_ID": str(image.id),
        "IMAGE_STATE": "2",
        "LN_TARGET": store("LN_TARGET"),
        "ORIGINAL_SIZE": str(image.size),
        "PERSISTENT_SNAPSHOTS": store("PERSISTENT_SNAPSHOTS"),
        "READONLY": "NO",
        "SAVE": "NO",
        "SIZE": str(image.size),
        "SOURCE": image.source,
        "TARGET": f"sd{letter}",
        "TM_MAD": store("TM_MAD"),
        "TYPE": "FILE",
        **disk,
    }


def _image(world: World, disk: dict[str, str]) -> Image | None:
    if "IMAGE_ID" in disk:
        return world.images.get(int(disk["IMAGE_ID"]))
    if "IMAGE" in disk:
        found = world.images.named(disk["IMAGE"])
        if found is None:
            raise InternalError(f"User 0 does not own an image with name: {disk['IMAGE']} .")
        return found
    return None


def _nics(world: World, vm: VM, kind: str, first: int) -> list[dict[str, str]]:
    return [_nic(world, vm, first + number, nic) for number, nic in enumerate(vm.template.vectors(kind))]


def _nic(world: World, vm: VM, number: int, nic: dict[str, str]) -> dict[str, str]:
    network = _network(world, nic)
    value = network.template.get
    inherited = {name: value(name) for name in _INHERITED if value(name)}
    groups = value("SECURITY_GROUPS", "0")
    alias = {"ALIAS_ID": "0", "PARENT_ID": "0"} if "PARENT" in nic else {"TARGET": f"one-{vm.id}-{number}"}
    return {
        "BRIDGE": value("BRIDGE"),
        "BRIDGE_TYPE": value("BRIDGE_TYPE"),
        "CLUSTER_ID": ",".join(map(str, sorted(network.cluster_ids))),
        "NAME": f"NIC{number}",
        "NETWORK": network.name,
        "NETWORK_ID": str(network.id),
        "NIC_ID": str(number),
        "SECURITY_GROUPS": groups,
        "VN_MAD": value("VN_MAD"),
        **inherited,
        **alias,
        **nic,
        **network.lease(vm.id, nic.get("IP", "")),
    }


def _network(world: World, nic: dict[str, str]) -> VNet:
    if "NETWORK_ID" in nic:
        return world.vnets.get(int(nic["NETWORK_ID"]))
    found = world.vnets.named(nic.get("NETWORK", ""))
    if found is None:
        raise InternalError(f"User 0 does not own a network with name: {nic.get('NETWORK')} .")
    return found


def _context(world: World, template: Template, disks: int, nics: list[dict[str, str]]) -> None:
    if not template.vectors("CONTEXT"):
        return
    context = template.vectors("CONTEXT")[0]
    for key, value in context.items():
        if value.startswith("$USER["):
            context[key] = ""
    if context.get("NETWORK", "").upper() == "YES":
        for number, nic in enumerate(nics):
            network = world.vnets.get(int(nic["NETWORK_ID"])).template
            for name in _ETH:
                value = (
                    nic.get(_OF_NIC[name], "") if name in _OF_NIC else network.get(_OF_NETWORK.get(name, ""))
                )
                context[f"ETH{number}_{name}"] = value
    context |= {"DISK_ID": str(disks), "TARGET": "hda"}


def _rule(way: str) -> dict[str, str]:
    return {
        "PROTOCOL": "ALL",
        "RULE_TYPE": way,
        "SECURITY_GROUP_ID": "0",
        "SECURITY_GROUP_NAME": "default",
    }


def _join_group(world: World, vm: VM) -> None:
    for wanted in vm.template.vectors("VMGROUP"):
        group = world.vmgroups.get(int(wanted.get("VMGROUP_ID", "-1")))
        role = group.role(wanted.get("ROLE", ""))
        if role is None:
            raise InternalError(f"No ROLE {wanted.get('ROLE')} in VM group {group.id}")
        role.vms.append(vm.id)
        group.touch()


def leave(world: World, vm: VM) -> None:
    """Give back what the VM had: addresses, images, its place in a group."""
    for network in world.vnets:
        if vm.id in network.holders():
            network.release(vm.id)
    for image in world.images:
        if vm.id in image.vms:
            image.vms.remove(vm.id)
            image.state = 2 if image.vms else 1
            image.touch()
    for group in world.vmgroups:
        for role in group.roles:
            if vm.id in role.vms:
                role.vms.remove(vm.id)
                group.touch()
