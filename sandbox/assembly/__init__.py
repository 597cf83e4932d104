"""From a submitted template to that of the VM: disks, NICs, context, requirements.

The attributes are those that recorded VMs have: an image or a volatile disk, a leased address, an alias.
"""

import uuid
from collections.abc import Iterable

from sandbox.assembly.disks import disk
from sandbox.assembly.nics import context, nics
from sandbox.errors import InternalError
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
    machine = {"MACHINE": world.release.os_machine} if world.release.os_machine else {}
    template.put("OS", machine | os | {"UUID": os.get("UUID") or str(uuid.uuid4())})
    parts = [disk(world, vm, number, one) for number, one in enumerate(template.vectors("DISK"))]
    cards = nics(world, vm, "NIC", 0)
    aliases = nics(world, vm, "NIC_ALIAS", len(cards))
    for name, values in (("DISK", parts), ("NIC", cards), ("NIC_ALIAS", aliases)):
        if values:
            template.attributes[name] = list(values)
    context(world, template, len(parts), [*cards, *aliases])
    if cards:
        template.attributes["SECURITY_GROUP_RULE"] = [_rule(way) for way in _RULES]
    requirements(template)
    _join_group(world, vm)


def requirements(template: Template, tm_mad: str = "") -> None:
    """Write the AUTOMATIC_* attributes: the clusters where all its disks and networks are."""
    stored = [one for one in template.vectors("DISK") if "CLUSTER_ID" in one]
    cards = template.vectors("NIC")
    both = _common(stored + cards)
    where = " | ".join(f"CLUSTER_ID = {number}" for number in both)
    template.put(
        "AUTOMATIC_REQUIREMENTS", f"({where}) & !(PIN_POLICY = PINNED)" if both else "!(PIN_POLICY = PINNED)"
    )
    for name, vectors in (("DS", stored or cards), ("NIC", cards)):
        if vectors:
            clusters = " | ".join(f'"CLUSTERS/ID" @> {number}' for number in both)
            stays = f' & (TM_MAD = "{tm_mad}")' if tm_mad and name == "DS" else ""
            template.put(f"AUTOMATIC_{name}_REQUIREMENTS", f"({clusters}){stays}")


def _common(vectors: Iterable[dict[str, str]]) -> list[int]:
    sets = [{int(number) for number in vector["CLUSTER_ID"].split(",") if number} for vector in vectors]
    return sorted(set.intersection(*sets)) if sets else []


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
    """Release what the VM had: addresses, images, its place in a group."""
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
