"""A VM's NICs and aliases, and the context that tells the VM of them."""

from sandbox.errors import InternalError
from sandbox.state.network import VNet
from sandbox.state.vm import VM
from sandbox.state.world import World
from sandbox.template import Template, names

_ETH = names(
    "DNS EXTERNAL GATEWAY IP IP6 IP6_GATEWAY IP6_METHOD IP6_METRIC IP6_PREFIX_LENGTH IP6_ULA MAC MASK "
    "METHOD METRIC MTU NETWORK ROUTES SEARCH_DOMAIN VLAN_ID VROUTER_IP VROUTER_IP6 VROUTER_MANAGEMENT"
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


def nics(world: World, vm: VM, kind: str, first: int) -> list[dict[str, str]]:
    """Return the NICs (or NIC_ALIASes) as a VM's template has them, with leased addresses."""
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


def context(world: World, template: Template, disks: int, nics: list[dict[str, str]]) -> None:
    """Fill in CONTEXT: what the VM reads to configure itself."""
    if not template.vectors("CONTEXT"):
        return
    values = template.vectors("CONTEXT")[0]
    for key, value in values.items():
        if value.startswith("$USER["):
            values[key] = ""
    if values.get("NETWORK", "").upper() == "YES":
        shown = [name for name in _ETH if name != "ROUTES" or world.release.nic_routes]
        for number, nic in enumerate(nics):
            network = world.vnets.get(int(nic["NETWORK_ID"])).template
            for name in shown:
                value = (
                    nic.get(_OF_NIC[name], "") if name in _OF_NIC else network.get(_OF_NETWORK.get(name, ""))
                )
                values[f"ETH{number}_{name}"] = value
    values |= {"DISK_ID": str(disks), "TARGET": world.release.context_target}
