"""Quotas of users and groups: limits as one.user.quota sets them, usage as the pools have it.

Played are the limits of VMs; those of datastores, networks and images are kept and shown, with a usage of 0.
"""

from sandbox.errors import AuthorizationError
from sandbox.markup import tag, text
from sandbox.state.limits import KINDS
from sandbox.state.names import VMState
from sandbox.state.people import Group, User
from sandbox.state.vm import VM
from sandbox.state.world import World
from sandbox.template import Template

_PARKED = (VMState.STOPPED, VMState.SUSPENDED, VMState.POWEROFF, VMState.UNDEPLOYED)
_CHECKED = ("VMS", "CPU", "MEMORY")
_UNLIMITED = "-1"
_ONEADMIN = 0


def demand(world: World, user: User, template: Template) -> None:
    """Refuse a VM that goes beyond a limit of its user or the user's group."""
    wanted = {"VMS": 1.0, "CPU": template.number("CPU"), "MEMORY": template.number("MEMORY")}
    for who, label in ((user, "user"), (world.groups.get(user.gid), "group")):
        limits = who.quotas.limits.get("VM", {}).get("", {})
        used = usage(_vms(world, who))
        for name in _CHECKED:
            limit = limits.get(name, _UNLIMITED)
            if float(limit) >= 0 and used[name] + wanted[name] > float(limit):
                reached = f"{label} [{who.id}] limit of {limit} reached for {name} quota in VM."
                raise AuthorizationError(f"User [{user.id}] : {reached}")


def usage(vms: list[VM]) -> dict[str, float]:
    """Return what these VMs use, by field; of those that are parked nothing counts as running."""
    running = [vm for vm in vms if vm.state not in _PARKED]
    used: dict[str, float] = {}
    for prefix, counted in (("", vms), ("RUNNING_", running)):
        used[f"{prefix}VMS"] = len(counted)
        used[f"{prefix}CPU"] = sum(vm.template.number("CPU") for vm in counted)
        used[f"{prefix}MEMORY"] = sum(vm.template.number("MEMORY") for vm in counted)
    return used


def xml(world: World, who: User | Group) -> str:
    """Return the four quotas of a user or group."""
    return "".join(tag(f"{kind}_QUOTA", _kind(world, who, kind)) for kind in KINDS)


def pooled_xml(world: World, who: User | Group) -> str:
    """Return them as a pool shows them, behind their user or group."""
    return tag("QUOTAS", tag("ID", who.id) + xml(world, who))


def _kind(world: World, who: User | Group, kind: str) -> str:
    limits = who.quotas.limits.get(kind, {})
    vms = _vms(world, who) if kind == "VM" else []
    if kind == "VM" and vms:
        limits = {"": {}} | limits
    used = usage(vms)
    fields = world.release.vm_quotas if kind == "VM" else KINDS[kind]
    return "".join(
        tag(kind, (text("ID", oid) if oid else "") + "".join(_field(one, values, used) for one in fields))
        for oid, values in limits.items()
    )


def _field(name: str, limits: dict[str, str], used: dict[str, float]) -> str:
    limit = float(limits.get(name, _UNLIMITED))
    form = ".2f" if name.endswith("CPU") else ".0f"
    shown = _UNLIMITED if limit < 0 else format(limit, form)
    return text(name, shown) + text(
        f"{name}_USED", format(used.get(name, 0), form if used.get(name) else ".0f")
    )


def _vms(world: World, who: User | Group) -> list[VM]:
    """Return the VMs that count; those of oneadmin do not count."""
    if who.id == _ONEADMIN:
        return []
    mine = (vm for vm in world.vms if (vm.uid if isinstance(who, User) else vm.gid) == who.id)
    return [vm for vm in mine if vm.state != VMState.DONE and vm.uid != _ONEADMIN]
