"""What one end of a tunnel is to be, worked out before anything is touched."""

from typing import NamedTuple

from .identity import Identity

KERNEL, OVS = "kernel", "ovs"
PAIR, PEERS = "wireguard", "wireguard-peers"  # made for a migration; those that the hosts have anyway
ENCRYPTED = (PAIR, PEERS)
# in onext-migrate.conf, and for peers that are there anyway what the edge hub lets pass
PORT_SETTINGS = {
    KERNEL: "KERNEL_PORT",
    OVS: "OVS_PORT",
    PAIR: "WIREGUARD_PORT",
    PEERS: "node_ports of the hub",
}


class EndpointSpec(NamedTuple):
    """Everything that is needed to build this host's end."""

    kind: str
    identity: Identity
    device: str
    mtu: int
    port: int
    ifindex: int = 0  # the interface index, kept when a device is built again under a running stream
    peer: str = ""  # the other end's public key (PAIR)
    secret: str = ""  # our private key; empty in a helper that takes a device over
