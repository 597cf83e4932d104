"""What one end of a tunnel is to be, worked out before anything is touched."""

from typing import NamedTuple

from .identity import Identity

KERNEL, OVS = "kernel", "ovs"
PORT_SETTINGS = {KERNEL: "KERNEL_PORT", OVS: "OVS_PORT"}  # in onext-migrate.conf


class EndpointSpec(NamedTuple):
    """Everything that is needed to build this host's end."""

    kind: str
    identity: Identity
    device: str
    mtu: int
    port: int
    ifindex: int = 0  # the interface index, kept when a device is built again under a running stream
