"""What edge nodes are to OpenNebula: hosts, allocated when the tunnel is up, drained before they leave."""

from __future__ import annotations

from dataclasses import dataclass

from onext.oned.client import Oned
from onext.oned.errors import NotFound, OnedError, Refused
from onext.oned.objects import Host, HostState

DISABLED = 1  # the argument of one.host.status
CLOSED = (HostState.DISABLED, HostState.MONITORING_DISABLED)
MARK = "ONEXT_EDGE"  # for people: the node's number


@dataclass(frozen=True)
class Hosts:
    """Calls to oned for one node's host; each can be repeated."""

    oned: Oned

    def names(self) -> dict[str, int]:
        """Return the id of every host by name."""
        return {host.name.lower(): host.id for host in self.oned.hosts()}

    def allocate(self, name: str, im_mad: str, vm_mad: str, cluster: int) -> int:
        """Add a host to a cluster, and return its id."""
        return int(self.oned.call("host.allocate", name, im_mad, vm_mad, cluster))

    def state(self, host: int) -> str:
        """Return the name of a host's state, `gone` where it does not exist."""
        try:
            return self.oned.host(host).state.name
        except NotFound:
            return "gone"

    def usable(self, host: int) -> bool:
        """Whether monitoring reached a host."""
        return self.state(host) in (HostState.MONITORED.name, HostState.MONITORING_MONITORED.name)

    def find(self, host: int) -> Host | None:
        """Return a host, None where it is gone."""
        try:
            return self.oned.host(host)
        except NotFound:
            return None

    def close(self, host: Host) -> None:
        """Let the scheduler place nothing more on a host."""
        if host.state not in CLOSED:
            self.oned.call("host.status", host.id, DISABLED)

    def disable(self, host: int) -> None:
        """Let the scheduler place nothing more on a host, where it exists."""
        try:
            self.oned.call("host.status", host, DISABLED)
        except NotFound:
            return

    def remove(self, host: int) -> None:
        """Delete a host that has no VMs; one that is gone already counts as deleted."""
        try:
            self.oned.call("host.delete", host)
        except NotFound:
            return
        except OnedError as error:
            raise Refused(f"host {host} is not removed: {error}") from error
