"""Section `edge:` of the settings: this server's endpoint and hub for nodes that join by themselves."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, Field

from onext.settings.section import Section

Port = Annotated[int, Field(ge=1, le=65535)]


def _ordered(ports: tuple[int, int]) -> tuple[int, int]:
    """Refuse what `nft` refuses together with everything else that the hub is to filter."""
    if ports[0] > ports[1]:
        raise ValueError("of two ports the lower one comes first")
    return ports


Ports = Annotated[tuple[Port, Port], AfterValidator(_ordered)]


class Edge(Section):
    """Nodes that join, leave and rejoin by themselves over WireGuard."""

    enabled: bool = Field(False, description="process requests of nodes; `onext edge init` comes first")
    endpoint: str = Field(
        "", description="HOST:PORT at which nodes reach this server's HTTPS endpoint, as in join tokens"
    )
    hub: str = Field("", description="HOST:PORT (UDP) at which nodes reach this server's WireGuard hub")
    interface: str = Field(
        "onext-edge", description="name of the hub's interface", pattern=r"^[a-z][a-z0-9-]{0,14}$"
    )
    mtu: int = Field(1280, ge=1280, le=9000, description="MTU that nodes begin with; 1280 passes everywhere")
    mtu_most: int = Field(
        1420,
        ge=1280,
        le=9000,
        description="MTU of the hub, up to which nodes probe; not above `mtu`: nothing is probed",
    )
    node_ports: tuple[Ports, ...] = Field(
        ((22, 22), (16509, 16509), (16514, 16514), (49152, 49215)),
        min_length=1,
        max_length=64,
        description="ports (first, last) that nodes of a cluster reach of each other through the hub",
    )
    direct: bool = Field(
        True, description="let nodes of a cluster that reach each other do so without the hub"
    )
    front_end_ports: tuple[Port, ...] = Field(
        (4124,), description="TCP and UDP ports of this server that nodes reach, besides the endpoint's"
    )
    im_mad: str = Field("kvm", description="information driver of new hosts", pattern=r"^[a-z0-9_-]{1,32}$")
    vm_mad: str = Field("kvm", description="hypervisor driver of new hosts", pattern=r"^[a-z0-9_-]{1,32}$")
    certificate_days: int = Field(90, ge=1, le=730, description="days for which a host certificate is valid")
    ssh_agent: bool = Field(
        True,
        description="keep oneadmin's certificate in OpenNebula's ssh agent, for migrations between nodes",
    )
    parallel: int = Field(8, ge=1, le=64, description="requests that are verified at the same time")

    @property
    def largest_mtu(self) -> int:
        """Return the MTU of the hub, and the largest of a node."""
        return max(self.mtu, self.mtu_most)
