"""What a crash left: this driver's tunnels that are not in use."""

import json
from typing import List, NamedTuple

from . import endpoint_device, endpoint_ovs, log, net_devices
from .commands import run
from .endpoint_spec import KERNEL, OVS, PAIR
from .errors import MigrateError
from .identity import NAME
from .refcount import Refcount, users


class TunnelDevice(NamedTuple):
    """A tunnel on this node."""

    name: str
    datapath: str
    mtu: int
    remote: str
    used: bool
    sent_bytes: int


def tunnels() -> List[TunnelDevice]:
    """Return our tunnels: devices that bear our kind of name, and bridges that bear our mark."""
    bridges = endpoint_ovs.bridges()
    names = {one for one in net_devices.names() if NAME.match(one) and _made_here(one)}
    return [_observe(one, one in bridges) for one in sorted(names.union(bridges))]


def reap() -> List[str]:
    """Remove what is not in use; return the names."""
    gone = []
    for found in tunnels():
        count = Refcount(found.name)
        if found.used:
            continue
        try:
            count.acquire(lambda: None)
            if count.release(lambda name=found.name: endpoint_device.tear_down(name)):  # type: ignore[misc]
                gone.append(found.name)
        except MigrateError as error:
            log.warning(f"{found.name}: it is not in use and cannot be removed: {error}")
    return gone


def _made_here(name: str) -> bool:
    return net_devices.is_vxlan(name) or net_devices.is_wireguard(name) or net_devices.is_tun(name)


def _observe(name: str, bridge: bool) -> TunnelDevice:
    remote = endpoint_ovs.remote(name) if bridge else _remote(name)
    kind = OVS if bridge else KERNEL if net_devices.is_vxlan(name) else PAIR
    return TunnelDevice(
        name, kind, net_devices.mtu(name), remote, users(name), net_devices.sent_bytes(name) or 0
    )


def _remote(name: str) -> str:
    try:
        data = json.loads(run(["ip", "-j", "-d", "link", "show", "dev", name]).stdout)[0]["linkinfo"][
            "info_data"
        ]
        return str(data.get("remote") or data.get("remote6") or "")
    except (MigrateError, ValueError, LookupError):
        return ""
