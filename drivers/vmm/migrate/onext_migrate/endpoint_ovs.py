"""A tunnel as an Open vSwitch bridge with one VXLAN port.

The bridge bears the tunnel's name, and a mark in external_ids: OVS keeps bridges over a reboot.
"""

import os
from typing import List

from .commands import as_root, environment
from .endpoint_spec import EndpointSpec
from .errors import CommandError, TunnelError
from .net_devices import exists
from .waiting import until

MARK = "onext-migrate"
_VSCTL = ["ovs-vsctl", "--timeout=5"]


def installed() -> bool:
    """Tell whether Open vSwitch is here and its database runs."""
    folders = environment()["PATH"].split(":")
    tools = any(os.access(os.path.join(folder, "ovs-vsctl"), os.X_OK) for folder in folders)
    return tools and os.path.exists("/var/run/openvswitch/db.sock")


def works() -> bool:
    """Tell whether Open vSwitch is here with its database and its switch, as far as can be seen."""
    if not installed():
        return False
    try:
        with open("/var/run/openvswitch/ovs-vswitchd.pid") as file:
            return os.path.isdir("/proc/{}".format(file.read().strip() or "none"))
    except OSError:
        return True  # not to be seen from here: building will tell


def build(plan: EndpointSpec) -> None:
    """Create bridge and port in one transaction; look in /sys, as ovs-vsctl exits 0 without a bridge."""
    if not works():
        raise TunnelError("no Open vSwitch that works on this host")
    as_root(command(plan))
    if not until(lambda: exists(plan.identity.name), 1.0):
        raise TunnelError(f"ovs-vsctl made no bridge {plan.identity.name}: is ovs-vswitchd running?")


def command(plan: EndpointSpec) -> List[str]:
    """Return the one transaction that makes the whole end."""
    ident = plan.identity
    options = {
        "local_ip": ident.near.underlay,
        "remote_ip": ident.far.underlay,
        "key": str(ident.vni),
        "dst_port": str(plan.port),
    }
    argv = [*_VSCTL, "--", "--may-exist", "add-br", ident.name]
    argv += ["--", "set", "bridge", ident.name, f'other-config:hwaddr="{ident.near.mac}"']
    argv += [f"external_ids:{MARK}={ident.port_name}"]
    argv += ["--", "set", "interface", ident.name, f"mtu_request={plan.mtu}"]
    argv += ["--", "--may-exist", "add-port", ident.name, ident.port_name]
    argv += ["--", "set", "interface", ident.port_name, "type=vxlan"]
    return argv + [f'options:{key}="{value}"' for key, value in sorted(options.items())]


def tear_down(name: str) -> None:
    """Delete the bridge with its port."""
    as_root([*_VSCTL, "--", "--if-exists", "del-br", name])


def set_mtu(name: str, mtu: int) -> None:
    """Set the MTU that OVS gives the bridge's own port."""
    as_root([*_VSCTL, "--", "set", "interface", name, f"mtu_request={mtu}"])


def trouble(name: str) -> str:
    """Return the error that OVS reports for the VXLAN port, "" without one."""
    port = "oxp" + name[3:]
    try:
        return (
            as_root([*_VSCTL, "--if-exists", "get", "interface", port, "error"]).stdout.strip().strip('[]"')
        )
    except CommandError as error:
        return str(error)


def bridges() -> List[str]:
    """Return the bridges that bear our mark; none where OVS is not installed or does not answer."""
    if not installed():
        return []
    find = ["--bare", "--columns=name", "find", "bridge", f"external_ids:{MARK}!=x"]
    done = as_root(_VSCTL + find, check=False)
    return done.stdout.split() if done.exit_code == 0 else []


def remote(name: str) -> str:
    """Return the other end's underlay address, "" when OVS does not tell."""
    get = [*_VSCTL, "--if-exists", "get", "interface", "oxp" + name[3:], "options:remote_ip"]
    return as_root(get, check=False).stdout.strip().strip('"')


def knows(name: str) -> bool:
    """Tell whether OVS has a bridge of this name in its database."""
    return installed() and as_root([*_VSCTL, "br-exists", name], check=False).exit_code == 0


def repair(plan: EndpointSpec) -> bool:
    """Put the VXLAN port back into the bridge where it is gone; return whether it was."""
    listed = as_root([*_VSCTL, "list-ports", plan.identity.name]).stdout.split()
    if plan.identity.port_name in listed:
        return False
    as_root(command(plan))
    return True
