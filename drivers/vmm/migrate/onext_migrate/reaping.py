"""What a crash left: tunnels of ours that nobody holds."""

import json
from typing import List, NamedTuple

from . import device, log, tunnel, tunnel_ovs
from .door import run
from .errors import MigrateError
from .identity import NAME
from .lease import Lease, users
from .plan import KERNEL, OVS


class Found(NamedTuple):
    """A tunnel on this node."""

    name: str
    datapath: str
    mtu: int
    remote: str
    used: bool
    sent_bytes: int


def tunnels() -> List[Found]:
    """Return our tunnels: devices that bear our kind of name, and bridges that bear our mark."""
    bridges = tunnel_ovs.bridges()
    names = {one for one in device.names() if NAME.match(one) and device.is_vxlan(one)}
    return [_look(one, one in bridges) for one in sorted(names.union(bridges))]


def reap() -> List[str]:
    """Take away what nobody uses; return the names."""
    gone = []
    for found in tunnels():
        lease = Lease(found.name)
        if found.used:
            continue
        try:
            lease.take(lambda: None)
            if lease.give_back(lambda name=found.name: tunnel.tear_down(name)):  # type: ignore[misc]
                gone.append(found.name)
        except MigrateError as error:
            log.warning(f"{found.name}: nobody uses it, and it cannot be taken away: {error}")
    return gone


def _look(name: str, bridge: bool) -> Found:
    remote = tunnel_ovs.remote(name) if bridge else _remote(name)
    kind = OVS if bridge else KERNEL
    return Found(name, kind, device.mtu(name), remote, users(name), device.sent_bytes(name) or 0)


def _remote(name: str) -> str:
    try:
        data = json.loads(run(["ip", "-j", "-d", "link", "show", "dev", name]).stdout)[0]["linkinfo"][
            "info_data"
        ]
        return str(data.get("remote") or data.get("remote6") or "")
    except (MigrateError, ValueError, LookupError):
        return ""
